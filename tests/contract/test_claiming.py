"""Taking over a session: `ClaimSession`."""

import asyncio

import pytest

from recovery.commands import Claimed, ClaimRefused, OpenStream, Overtaken, Saved
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Epoch, HolderState, Namespace, Pid, ServerId
from tests.contract.builders import PID, append, claim, save
from tests.contract.subject import Hand, Subject


async def claimed(store: Subject, **changes: object) -> Claimed:
    reply = await store.execute(claim(**changes))
    assert isinstance(reply, Claimed), reply
    return reply


async def reason(store: Subject, **changes: object) -> Reason:
    reply = await store.execute(claim(**changes))
    assert isinstance(reply, ClaimRefused), reply
    return reply.reason


async def test_a_claim_returns_what_was_saved(store: Subject, other_store: Subject) -> None:
    value = bytes(range(256))
    await store.execute(save(create=True, value=value, proven=Offset(17, 4), state=HolderState.CLOSING))
    reply = await claimed(other_store)
    assert (reply.number, reply.value, reply.proven) == (2, value, Offset(17, 4))
    assert (reply.holder, reply.holder_state) == ("server-1", HolderState.CLOSING)
    assert 0 <= reply.since_ms < 10_000


async def test_every_claim_has_a_higher_number(store: Subject) -> None:
    await store.execute(save(create=True))
    numbers = [(await claimed(store, nonce=nonce)).number for nonce in "abc"]
    assert numbers == [2, 3, 4]


async def test_a_repeated_claim_gets_the_same_answer(store: Subject, other_store: Subject) -> None:
    await store.execute(save(create=True))
    first = await claimed(store, nonce="a")
    again = await claimed(other_store, nonce="a")
    assert again.number == first.number
    assert await store.execute(save(number=first.number, owner=ServerId("server-2"), nonce="a")) == Saved()


async def test_a_nonce_is_forgotten_when_somebody_else_has_claimed(store: Subject) -> None:
    await store.execute(save(create=True))
    await claimed(store, nonce="a")
    await claimed(store, nonce="b")
    assert (await claimed(store, nonce="a")).number == 4


async def test_of_claims_at_the_same_time_each_gets_its_own_number(
    store: Subject, other_store: Subject
) -> None:
    await store.execute(save(create=True))
    replies = await asyncio.gather(*(claimed((store, other_store)[n % 2], nonce=str(n)) for n in range(20)))
    assert sorted(reply.number for reply in replies) == list(range(2, 22))


async def test_claiming_does_not_make_the_claimer_the_holder(store: Subject) -> None:
    await store.execute(save(create=True))
    await claimed(store, nonce="a", owner=ServerId("server-2"))
    assert (await claimed(store, nonce="b", owner=ServerId("server-3"))).holder == "server-1"


async def test_claiming_does_not_lengthen_the_session(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=30_000))
    await hand.age_sessions(20_000)
    await claimed(store)
    await hand.age_sessions(20_000)
    assert await reason(store, nonce="b") is Reason.SESSION_EXPIRED


async def test_the_time_since_the_connection_closed_is_told(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, state=HolderState.LIVE))
    await hand.age_sessions(5_000)
    await store.execute(save(state=HolderState.CLOSING))
    await hand.age_sessions(7_000)
    await store.execute(save(state=HolderState.AWAY))  # still closed: since stays
    await store.execute(save(state=HolderState.AWAY))  # says the same again: since stays
    reply = await claimed(store)
    assert 7_000 <= reply.since_ms < 12_000


async def test_a_new_holder_speaks_anew(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, state=HolderState.LIVE))
    await hand.age_sessions(7_000)
    first = await claimed(store, nonce="a")
    owner = ServerId("server-2")
    assert await store.execute(save(number=first.number, owner=owner, nonce="a")) == Saved()
    reply = await claimed(store, nonce="b")
    assert reply.holder == "server-2"
    assert reply.since_ms < 7_000


async def test_nobody_knows_a_session_that_never_was(store: Subject) -> None:
    assert await reason(store, pid=Pid("never")) is Reason.SESSION_UNKNOWN


async def test_a_session_that_was_ended_says_so(store: Subject) -> None:
    await store.execute(save(create=True))
    await store.execute(save(state=HolderState.ENDED))
    assert await reason(store) is Reason.DISCONNECTED


async def test_a_session_past_its_deadline_is_expired(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=30_000, linger_ms=30_000))
    await hand.age_sessions(29_000)
    await claimed(store)
    await hand.age_sessions(2_000)
    assert await reason(store, nonce="b") is Reason.SESSION_EXPIRED


@pytest.mark.parametrize("ended", [False, True])
async def test_after_the_linger_time_nothing_is_known_any_more(
    store: Subject, hand: Hand, *, ended: bool
) -> None:
    await store.execute(save(create=True, ttl_ms=30_000, linger_ms=30_000))
    if ended:
        await store.execute(save(state=HolderState.ENDED, ttl_ms=30_000, linger_ms=30_000))
    await hand.age_sessions(61_000)
    assert await reason(store) is Reason.SESSION_UNKNOWN


async def test_a_session_whose_value_was_evicted_is_expired(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True))
    await hand.lose_session(PID)
    assert await reason(store) is Reason.SESSION_EXPIRED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"namespace": Namespace("/other")}, Reason.NAMESPACE_MISMATCH),
        ({"identity": "mallory"}, Reason.IDENTITY_MISMATCH),
        ({"epoch": Epoch("later")}, Reason.EPOCH_CHANGED),
    ],
)
async def test_a_claim_that_does_not_match_is_refused_and_changes_nothing(
    store: Subject, changes: dict[str, object], expected: Reason
) -> None:
    await store.execute(save(create=True))
    assert await reason(store, nonce="wrong", **changes) is expected
    assert await store.execute(save()) == Saved(), "the number is still in force"
    assert (await claimed(store)).number == 2


async def test_reasons_are_given_in_a_fixed_order(store: Subject, hand: Hand) -> None:
    wrong: dict[str, object] = {
        "namespace": Namespace("/other"),
        "identity": "mallory",
        "epoch": Epoch("later"),
    }
    await store.execute(save(create=True, ttl_ms=30_000))
    assert await reason(store, **wrong) is Reason.NAMESPACE_MISMATCH
    del wrong["namespace"]
    assert await reason(store, **wrong) is Reason.IDENTITY_MISMATCH
    await hand.age_sessions(31_000)
    assert await reason(store, **wrong) is Reason.SESSION_EXPIRED
    await store.execute(save(state=HolderState.ENDED))
    assert await reason(store, **wrong) is Reason.DISCONNECTED


async def test_a_repeated_claim_is_refused_once_the_session_has_expired(store: Subject, hand: Hand) -> None:
    await store.execute(save(create=True, ttl_ms=30_000))
    await claimed(store, nonce="a")
    await hand.age_sessions(31_000)
    assert await reason(store, nonce="a") is Reason.SESSION_EXPIRED


async def test_the_old_owner_is_overtaken(store: Subject, other_store: Subject) -> None:
    await store.execute(save(create=True))
    reply = await claimed(other_store)
    assert await store.execute(save(value=b"stale")) == Overtaken(2)
    assert (await claimed(store, nonce="b")).value == reply.value


async def test_many_claims_in_one_call_are_answered_one_by_one(store: Subject) -> None:
    await store.execute_many([save(create=True, pid=Pid(f"p{n}"), value=b"%d" % n) for n in range(0, 40, 2)])
    replies = await store.execute_many([claim(pid=Pid(f"p{n}")) for n in range(40)])
    assert [type(each) for each in replies] == [Claimed, ClaimRefused] * 20
    assert [each.value for each in replies if isinstance(each, Claimed)] == [
        b"%d" % n for n in range(0, 40, 2)
    ]


async def test_sessions_and_stream_do_not_disturb_each_other(store: Subject) -> None:
    state = await store.execute(OpenStream(Epoch("first")))
    await store.execute(save(create=True))
    appended = await store.execute(append(b"a"))
    assert appended.epoch == state.epoch
    assert (await claimed(store)).value == b"session"
