"""Writing a session under a claim number: `SaveSession`."""

from dataclasses import replace

import pytest

from recovery.commands import Claimed, ClaimRefused, Overtaken, Saved
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Epoch, HolderState, Namespace, Pid, ServerId
from tests.contract.builders import PID, claim, save
from tests.contract.subject import KEYS, Hand, RedisHand, Subject


async def saved_value(store: Subject, nonce: str = "look") -> bytes:
    reply = await store.execute(claim(nonce=nonce))
    assert isinstance(reply, Claimed), reply
    return reply.value


async def test_a_session_is_created(store: Subject) -> None:
    assert await store.execute(save(create=True)) == Saved()
    assert await saved_value(store) == b"session"


async def test_an_empty_session_is_a_session(store: Subject) -> None:
    assert await store.execute(save(create=True, value=b"")) == Saved()
    assert await store.execute(save(value=None)) == Saved(value_missing=False)
    assert await saved_value(store) == b""


async def test_a_session_that_was_not_created_cannot_be_saved(store: Subject) -> None:
    assert await store.execute(save()) == Overtaken(0)
    assert await store.execute(claim()) == ClaimRefused(Reason.SESSION_UNKNOWN)


async def test_a_create_whose_reply_was_lost_may_be_repeated(store: Subject) -> None:
    await store.execute(save(create=True))
    assert await store.execute(save(create=True, value=b"newer")) == Saved()
    assert await saved_value(store) == b"newer"


async def test_a_session_of_another_server_cannot_be_created_over(store: Subject) -> None:
    await store.execute(save(create=True))
    assert await store.execute(save(create=True, owner=ServerId("other"), value=b"x")) == Overtaken(1)
    assert await saved_value(store) == b"session"


async def test_a_session_that_was_claimed_cannot_be_created_over(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(claim())
    assert await store.execute(save(create=True, value=b"x")) == Overtaken(2)


async def test_two_claims_of_one_number_are_told_apart(store: Subject) -> None:
    """A failover lost a claim; the next one of the same server got its number."""
    await store.execute(save(create=True))
    await store.execute(claim(nonce="second"))
    owner = claim().owner
    lost = save(number=2, owner=owner, nonce="first", value=b"of the claim that was lost")
    assert await store.execute(lost) == Overtaken(2)
    assert await store.execute(replace(lost, create=True)) == Overtaken(2)
    assert await store.execute(save(number=2, owner=owner, nonce="second", value=b"right")) == Saved()
    assert await saved_value(store) == b"right"


async def test_a_claim_that_was_lost_may_be_created_anew(store: Subject) -> None:
    await store.execute(save(create=True))
    lost = save(number=2, owner=claim().owner, nonce="first", value=b"right")
    assert await store.execute(lost) == Overtaken(1)
    for _ in range(2):
        assert await store.execute(replace(lost, create=True)) == Saved()
    assert await store.execute(lost) == Saved()
    assert await store.execute(replace(lost, nonce="second", create=True)) == Overtaken(2)
    assert await saved_value(store) == b"right"


async def test_a_checkpoint_keeps_the_value(store: Subject) -> None:
    await store.execute(save(create=True))
    assert await store.execute(save(value=None, proven=Offset(5, 6))) == Saved(value_missing=False)
    reply = await store.execute(claim())
    assert isinstance(reply, Claimed)
    assert (reply.value, reply.proven) == (b"session", Offset(5, 6))


async def test_a_checkpoint_lengthens_the_session(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=30_000))
    for _ in range(3):
        await hand.age_sessions(20_000)
        assert await store.execute(save(value=None, ttl_ms=30_000)) == Saved()
    assert await saved_value(store) == b"session"


async def test_a_save_may_shorten_the_session(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=60_000))
    await store.execute(save(value=None, ttl_ms=5_000, state=HolderState.AWAY))
    await hand.age_sessions(6_000)
    assert await store.execute(claim()) == ClaimRefused(Reason.SESSION_EXPIRED)


async def test_a_checkpoint_tells_that_the_value_was_evicted(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True))
    await hand.lose_session(PID)
    assert await store.execute(save(value=None)) == Saved(value_missing=True)
    assert await store.execute(save(value=b"whole again")) == Saved()
    assert await saved_value(store) == b"whole again"


async def test_a_checkpoint_tells_that_the_session_expired(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=5_000))
    await hand.age_sessions(6_000)
    assert await store.execute(save(value=None)) == Saved(value_missing=True)


async def test_creating_without_a_value_says_that_it_is_missing(store: Subject) -> None:
    assert await store.execute(save(create=True, value=None)) == Saved(value_missing=True)


async def test_an_old_number_writes_nothing(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(claim(nonce="a"))
    for state in HolderState:
        stale = save(value=b"stale", proven=Offset(9, 9), state=state, namespace=Namespace("/x"))
        assert await store.execute(stale) == Overtaken(2)
    reply = await store.execute(claim(nonce="b"))
    assert isinstance(reply, Claimed)
    assert (reply.value, reply.proven, reply.holder_state) == (b"session", Offset(0, 0), HolderState.LIVE)


async def test_a_number_of_the_future_writes_nothing(store: Subject) -> None:
    await store.execute(save(create=True))
    assert await store.execute(save(number=2)) == Overtaken(1)


async def test_a_lost_session_is_created_again_under_its_number(store: Subject) -> None:
    assert await store.execute(save(create=True, number=3)) == Saved()
    assert await store.execute(save(number=3, value=b"newer")) == Saved()
    assert await store.execute(save(create=True, number=1, value=b"stale")) == Overtaken(3)
    assert await saved_value(store) == b"newer"


async def test_the_newest_claim_creates_over_what_an_older_one_has_created(store: Subject) -> None:
    """A frozen server may come first, and create a session that was lost and is not its own any more."""
    await store.execute(save(create=True, number=1, value=b"stale"))
    await store.execute(save(number=1, state=HolderState.ENDED))
    theirs = save(create=True, number=2, owner=ServerId("server-2"), value=b"right")
    assert await store.execute(theirs) == Saved()
    assert await store.execute(save(number=1, value=b"stale")) == Overtaken(2)
    assert await saved_value(store) == b"right"


async def test_another_owner_of_the_same_number_writes_nothing(store: Subject) -> None:
    """Two servers have one number only if the session was lost, created by one, and claimed by the other."""
    await store.execute(save(create=True, number=1))
    await store.execute(claim(nonce="a"))  # number 2, server-2
    for create in (False, True):
        stranger = save(number=2, owner=ServerId("server-3"), value=b"x", create=create)
        assert await store.execute(stranger) == Overtaken(2)
    assert await saved_value(store) == b"session"


async def test_the_claimer_writes_under_its_number(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(claim())
    theirs = save(number=2, owner=ServerId("server-2"), value=b"theirs", state=HolderState.AWAY)
    assert await store.execute(theirs) == Saved()
    reply = await store.execute(claim(nonce="b"))
    assert isinstance(reply, Claimed)
    assert (reply.value, reply.holder, reply.holder_state) == (b"theirs", "server-2", HolderState.AWAY)


@pytest.mark.parametrize("state", [HolderState.LIVE, HolderState.CLOSING, HolderState.AWAY])
async def test_what_the_holder_says_of_its_connection_is_kept(store: Subject, state: HolderState) -> None:
    await store.execute(save(create=True))
    await store.execute(save(value=None, state=state))
    reply = await store.execute(claim())
    assert isinstance(reply, Claimed)
    assert reply.holder_state is state


async def test_what_a_claim_must_match_is_written_anew_each_time(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(save(identity="alice", epoch=Epoch("e2"), namespace=Namespace("/n")))
    reply = await store.execute(claim(identity="alice", epoch=Epoch("e2"), namespace=Namespace("/n")))
    assert isinstance(reply, Claimed)


async def test_text_of_any_script_survives(store: Subject) -> None:
    odd = "ü€😀 \n\0'\""
    await store.execute(save(create=True, identity=odd, namespace=Namespace(f"/{odd}")))
    reply = await store.execute(claim(identity=odd, namespace=Namespace(f"/{odd}")))
    assert isinstance(reply, Claimed)


async def test_ending_a_session_may_be_repeated(store: Subject) -> None:
    await store.execute(save(create=True))
    for _ in range(2):
        assert await store.execute(save(state=HolderState.ENDED)) == Saved()


async def test_an_ended_session_stays_ended(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(save(state=HolderState.ENDED, value=None))
    assert await store.execute(save(value=None)) == Overtaken(0), "a late checkpoint"
    assert await store.execute(save(value=b"back")) == Overtaken(0), "a late save"
    assert await store.execute(save(value=b"back", create=True)) == Overtaken(0)
    assert await store.execute(claim()) == ClaimRefused(Reason.DISCONNECTED)


async def test_a_session_may_be_created_as_ended(store: Subject) -> None:
    assert await store.execute(save(create=True, state=HolderState.ENDED)) == Saved()
    assert await store.execute(claim()) == ClaimRefused(Reason.DISCONNECTED)


async def test_many_saves_keep_their_order_and_fail_alone(store: Subject) -> None:
    replies = await store.execute_many(
        [
            save(create=True, value=b"1"),
            save(pid=Pid("never"), value=b"x"),
            save(value=b"2"),
            save(number=7, value=b"x"),
            save(value=b"3"),
        ]
    )
    assert replies == [Saved(), Overtaken(0), Saved(), Overtaken(1), Saved()]
    assert await saved_value(store) == b"3"


async def test_ten_thousand_sessions_are_saved_and_forgotten(store: Subject, hand: Hand) -> None:
    pids = [Pid(f"p{number}") for number in range(10_000)]
    await store.execute_many([save(create=True, pid=pid, ttl_ms=1, linger_ms=0) for pid in pids])
    await hand.age_sessions(10)
    await store.execute(save(create=True))
    assert await store.execute(claim(pid=pids[0])) == ClaimRefused(Reason.SESSION_UNKNOWN)


async def test_an_ended_session_leaves_no_value_behind(server_store: Subject, server_hand: RedisHand) -> None:
    await server_store.execute(save(create=True, ttl_ms=60_000, linger_ms=60_000))
    await server_store.execute(save(state=HolderState.ENDED, ttl_ms=60_000, linger_ms=30_000))
    assert await server_hand.client.exists(KEYS.session(PID)) == 0
    assert 0 < await server_hand.client.pttl(KEYS.claim(PID)) <= 30_000


async def test_the_claim_outlives_the_session_by_the_linger_time(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(save(create=True, ttl_ms=50_000, linger_ms=70_000))
    assert 40_000 < await server_hand.client.pttl(KEYS.session(PID)) <= 50_000
    assert 110_000 < await server_hand.client.pttl(KEYS.claim(PID)) <= 120_000


async def test_the_value_is_stored_as_it_was_given(server_store: Subject, server_hand: RedisHand) -> None:
    value = bytes(range(256))
    await server_store.execute(save(create=True, value=value))
    assert await server_hand.client.get(KEYS.session(PID)) == value
