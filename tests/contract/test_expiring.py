"""The end of a session whose client does not return: `recovery.deadlines`."""

import asyncio

import pytest

from recovery.commands import Claimed, ClaimRefused, Overtaken, Saved, SaveSession
from recovery.deadlines import BurySession, DueSessions, Expired, Gone, NoteDeadline, NotYet
from recovery.errors import StoreError
from recovery.reasons import Reason
from recovery.records import HolderState, Pid, ServerId
from tests.contract.builders import PID, claim, expire, save
from tests.contract.subject import KEYS, Hand, RedisHand, Subject

_DAY = 86_400_000


def _pids(*names: str) -> tuple[Pid, ...]:
    return tuple(map(Pid, names))


def _kept(**changes: object) -> SaveSession:
    """A save of a session whose value outlives it."""
    defaults: dict[str, object] = {"ttl_ms": 30_000, "linger_ms": _DAY, "keep_ms": _DAY}
    return save(**{**defaults, **changes})


async def _note(store: Subject, pid: str, in_ms: int | None) -> None:
    await store.execute(NoteDeadline(Pid(pid), in_ms, _DAY))


async def _due(store: Subject, count: int = 10, lease_ms: int = 30_000) -> tuple[Pid, ...]:
    return await store.execute(DueSessions(count, lease_ms))


async def _expired(store: Subject, **changes: object) -> Expired:
    reply = await store.execute(expire(**changes))
    assert isinstance(reply, Expired), reply
    return reply


async def _wait_of(store: Subject, **changes: object) -> int:
    reply = await store.execute(expire(**changes))
    assert isinstance(reply, NotYet), reply
    return reply.due_in_ms


async def _reason(store: Subject, **changes: object) -> Reason:
    reply = await store.execute(claim(**changes))
    assert isinstance(reply, ClaimRefused), reply
    return reply.reason


# The list of deadlines ---------------------------------------------------------------------------------


async def test_nothing_is_due_on_an_empty_list(store: Subject) -> None:
    assert await _due(store) == ()


async def test_a_session_is_due_when_its_time_has_come(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    await _note(store, "a", 30_000)
    await hand.age_sessions(29_000)
    assert await _due(store) == ()
    await hand.age_sessions(2_000)
    assert await _due(other_store) == _pids("a")


async def test_the_longest_overdue_come_first_and_no_more_than_asked_for(store: Subject, hand: Hand) -> None:
    for pid, in_ms in (("c", 3_000), ("a", 1_000), ("b", 2_000), ("later", 60_000)):
        await _note(store, pid, in_ms)
    await hand.age_sessions(10_000)
    assert await _due(store, 2) == _pids("a", "b")
    assert await _due(store, 2) == _pids("c")
    assert await _due(store, 2) == ()


async def test_nobody_else_gets_a_due_session_until_the_lease_is_over(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    await _note(store, "a", 1_000)
    await hand.age_sessions(2_000)
    assert await _due(store, lease_ms=30_000) == _pids("a")
    await hand.age_sessions(29_000)
    assert await _due(other_store, lease_ms=30_000) == ()
    await hand.age_sessions(2_000)
    assert await _due(other_store, lease_ms=30_000) == _pids("a")


async def test_of_many_who_ask_at_once_one_gets_a_session(store: Subject, other_store: Subject) -> None:
    for n in range(20):
        await _note(store, f"p{n}", 0)
    taken = await asyncio.gather(*(_due((store, other_store)[n % 2], 3) for n in range(10)))
    assert sorted(pid for pids in taken for pid in pids) == sorted(f"p{n}" for n in range(20))


async def test_the_last_note_counts(store: Subject, hand: Hand) -> None:
    await _note(store, "sooner", 60_000)
    await _note(store, "sooner", 1_000)
    await _note(store, "later", 1_000)
    await _note(store, "later", 60_000)
    await _note(store, "gone", 1_000)
    await _note(store, "gone", None)
    await _note(store, "never", None)
    await hand.age_sessions(2_000)
    assert await _due(store) == _pids("sooner")


async def test_the_list_lives_as_long_as_the_last_deadline_on_it(
    server_store: Subject, server_hand: RedisHand
) -> None:
    await server_store.execute(NoteDeadline(Pid("a"), 50_000, 100_000))
    assert 145_000 < await server_hand.client.pttl(KEYS.deadlines) <= 150_000
    await server_store.execute(NoteDeadline(Pid("b"), 1_000, 100_000))
    assert 145_000 < await server_hand.client.pttl(KEYS.deadlines) <= 150_000, "not shortened"
    await server_store.execute(DueSessions(10, 1_000))
    assert await server_hand.client.pttl(KEYS.deadlines) > 0


@pytest.mark.parametrize("command", [NoteDeadline(PID, 1, 1), NoteDeadline(PID, None, 1), DueSessions(1, 1)])
async def test_a_key_of_somebody_else_is_named(
    server_store: Subject, server_hand: RedisHand, command: NoteDeadline | DueSessions
) -> None:
    await server_hand.client.set(KEYS.deadlines, "x", px=60_000)
    with pytest.raises(StoreError, match="deadlines' holds a string, not a zset"):
        await server_store.execute(command)


# The claim that ends a session -------------------------------------------------------------------------


async def test_a_session_is_granted_when_its_deadline_has_passed(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    value = bytes(range(256))
    await store.execute(_kept(create=True, value=value, state=HolderState.AWAY))
    assert 29_000 < await _wait_of(other_store) <= 30_001
    await hand.age_sessions(31_000)
    reply = await _expired(other_store)
    assert (reply.number, reply.value, reply.holder_state, reply.attempt) == (2, value, HolderState.AWAY, 1)
    assert 31_000 <= reply.since_ms < 40_000


async def test_before_the_deadline_nothing_is_changed(store: Subject) -> None:
    await store.execute(_kept(create=True))
    await _wait_of(store)
    assert await store.execute(_kept()) == Saved(), "its number is still in force"
    assert isinstance(await store.execute(claim()), Claimed)


async def test_the_wait_that_is_told_is_the_wait_that_is_needed(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(await _wait_of(store))
    await _expired(store)


async def test_nobody_recovers_an_expired_session_or_writes_it(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    await _expired(store)
    assert await store.execute(_kept()) == Overtaken(2), "of its owner, who comes late"
    assert await store.execute(_kept(create=True)) == Overtaken(2)
    assert await _reason(store) is Reason.SESSION_EXPIRED
    await hand.age_sessions(60_000)
    assert await _reason(store) is Reason.SESSION_EXPIRED


async def test_a_late_word_of_the_owner_keeps_a_session(store: Subject, hand: Hand) -> None:
    """Nobody has taken it yet: its client is still there."""
    await store.execute(_kept(create=True, value=b"whole"))
    await hand.age_sessions(31_000)
    assert await store.execute(_kept(value=None)) == Saved(value_missing=False)
    await _wait_of(store)
    reply = await store.execute(claim())
    assert isinstance(reply, Claimed)
    assert reply.value == b"whole"


async def test_without_keeping_the_value_expires_with_the_session(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, keep_ms=0))
    await hand.age_sessions(31_000)
    assert await store.execute(expire()) == Gone()
    assert await store.execute(_kept(value=None)) == Saved(value_missing=True)


async def test_a_value_is_kept_as_long_as_was_said(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, keep_ms=60_000))
    await hand.age_sessions(89_000)
    await _expired(store, nonce="a", lease_ms=0)
    await hand.age_sessions(2_000)
    assert await store.execute(expire(nonce="b")) == Gone()


async def test_a_repeated_attempt_gets_the_same_answer(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    first = await _expired(store)
    again = await _expired(other_store)
    assert (again.number, again.attempt) == (first.number, first.attempt) == (2, 1)


async def test_another_server_has_to_wait_for_the_lease(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    await _expired(store, nonce="a", lease_ms=30_000)
    assert 29_000 < await _wait_of(other_store, nonce="b", owner=ServerId("server-4")) <= 30_001
    await hand.age_sessions(20_000)
    await _expired(store, nonce="a", lease_ms=30_000)  # renewed
    await hand.age_sessions(20_000)
    assert await _wait_of(other_store, nonce="b") <= 10_001
    await hand.age_sessions(11_000)
    reply = await _expired(other_store, nonce="b")
    assert (reply.number, reply.attempt) == (3, 2)
    assert await _wait_of(store, nonce="a") > 0, "the first one has lost it"


async def test_of_servers_at_the_same_time_one_is_granted_a_session(
    store: Subject, other_store: Subject, hand: Hand
) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    replies = await asyncio.gather(
        *((store, other_store)[n % 2].execute(expire(nonce=str(n))) for n in range(20))
    )
    assert sorted(type(reply).__name__ for reply in replies) == ["Expired", *["NotYet"] * 19]


async def test_a_client_that_was_granted_its_session_has_time_to_get_in(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, state=HolderState.AWAY))
    await hand.age_sessions(29_000)
    number = (await _claimed(store)).number
    await hand.age_sessions(11_000)
    assert 7_000 < await _wait_of(store, grace_ms=20_000) <= 10_001
    assert isinstance(await store.execute(expire(grace_ms=10_000, nonce="b")), Expired)
    assert await store.execute(_kept(number=number, owner=ServerId("server-2"))) == Overtaken(number + 1)


async def test_a_client_that_got_in_is_not_expired(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, state=HolderState.AWAY))
    await hand.age_sessions(29_000)
    number = (await _claimed(store)).number
    await hand.age_sessions(11_000)
    saved = _kept(number=number, owner=ServerId("server-2"), state=HolderState.LIVE)
    assert await store.execute(saved) == Saved()
    assert await _wait_of(store) > 20_000


async def _claimed(store: Subject) -> Claimed:
    reply = await store.execute(claim())
    assert isinstance(reply, Claimed)
    return reply


async def test_a_session_that_ended_never_was_or_lost_its_value_is_gone(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, pid=Pid("ended")))
    await store.execute(_kept(pid=Pid("ended"), state=HolderState.ENDED))
    await store.execute(_kept(create=True, pid=Pid("lost")))
    await hand.lose_session(Pid("lost"))
    await hand.age_sessions(31_000)
    for name in ("ended", "lost", "never"):
        assert await store.execute(expire(pid=Pid(name))) == Gone(), name
    assert await _reason(store, pid=Pid("ended")) is Reason.DISCONNECTED


async def test_who_left_is_gone_at_once(store: Subject) -> None:
    """Nobody has to wait for a client that had been granted the session shortly before."""
    await store.execute(_kept(create=True))
    number = (await _claimed(store)).number
    await store.execute(_kept(number=number, owner=ServerId("server-2"), state=HolderState.ENDED))
    assert await store.execute(expire(grace_ms=60_000)) == Gone()


async def test_a_checkpoint_keeps_the_value_as_long_as_a_save_does(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await store.execute(_kept(value=None))
    await hand.age_sessions(31_000)
    assert (await _expired(store)).value == b"session"


async def test_a_value_that_is_too_large_is_not_read(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True, value=b"x" * 101))
    await hand.age_sessions(31_000)
    assert await store.execute(expire(max_bytes=100)) == Gone()
    assert (await _expired(store, max_bytes=101)).attempt == 1


async def test_a_live_session_that_lost_its_value_is_not_gone_yet(store: Subject, hand: Hand) -> None:
    """Its owner writes it anew with the next checkpoint."""
    await store.execute(_kept(create=True))
    await hand.lose_session(PID)
    await _wait_of(store)


# Burial ------------------------------------------------------------------------------------------------


async def test_a_buried_session_is_expired_for_a_while_and_then_unknown(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    number = (await _expired(store)).number
    assert await store.execute(BurySession(PID, number, linger_ms=20_000))
    assert await store.execute(BurySession(PID, number, linger_ms=20_000)), "its reply was lost"
    assert await _reason(store) is Reason.SESSION_EXPIRED
    assert await store.execute(_kept()) == Overtaken(number)
    await hand.age_sessions(21_000)
    assert await _reason(store) is Reason.SESSION_UNKNOWN


async def test_a_buried_session_is_gone(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    number = (await _expired(store, lease_ms=1_000)).number
    await store.execute(BurySession(PID, number, linger_ms=60_000))
    await hand.age_sessions(2_000)
    assert await store.execute(expire(nonce="b")) == Gone()


async def test_only_who_was_granted_a_session_last_buries_it(store: Subject, hand: Hand) -> None:
    await store.execute(_kept(create=True))
    await hand.age_sessions(31_000)
    first = await _expired(store, nonce="a", lease_ms=1_000)
    await hand.age_sessions(2_000)
    second = await _expired(store, nonce="b")
    assert not await store.execute(BurySession(PID, first.number, linger_ms=60_000))
    assert (await _expired(store, nonce="b")).value == b"session"
    assert await store.execute(BurySession(PID, second.number, linger_ms=60_000))


async def test_what_never_was_is_not_buried(store: Subject) -> None:
    assert not await store.execute(BurySession(PID, 1, linger_ms=60_000))
