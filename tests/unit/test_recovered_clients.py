"""What a client that recovered gets back: itself, what it missed, and the only connection of its session."""

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory

from recovery.commands import Command, GetStream
from recovery.core.connection import Phase
from recovery.core.decision import Presented, read_auth
from recovery.entries import Kind
from recovery.flows.admission import admit_without_store
from recovery.flows.steps import AwaitRelease, Publish, Vacate
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Pid
from tests.unit.builders import CHAT, NSP, Client, audience
from tests.unit.hosts import SETTINGS, Host, gone_away, presenting


def _performed(host: Host, kind: type[Command[Any]]) -> list[Command[Any]]:
    return [command for command in host.performed if type(command) is kind]


# ---------------------------------------------------------------------- what a recovered client gets back


def test_sid_rooms_data_and_missed_packets_come_back(host: Host, other: Host) -> None:
    first = host.connect()
    host.enter(first, "news")
    first.user_session = {"user": 5}
    seen = host.event("seen", "news")
    host.read()
    host.save(first)
    host.drop(first)
    for name, room in (("news", "news"), ("other", "other"), ("all", None), ("direct", first.sid)):
        host.event(name, *([room] if room else []))
    client = Client()

    second = other.connect(presenting(first, seen), client=client)

    assert second.recovery.recovered
    assert second.recovery.replayed == 3
    assert (second.sid, second.pid, second.user_session) == (first.sid, first.pid, {"user": 5})
    assert set(second.membership.rooms()) == {first.sid, "news"}
    assert client.events == ["news", "all", "direct"]
    assert client.offsets == sorted(client.offsets)


def test_nothing_leaves_before_the_application_accepted(host: Host) -> None:
    away, client = gone_away(host), Client()
    host.event("missed")
    host.read()
    connection = host.admit(presenting(away), client=client)
    host.event("new")
    host.read()
    assert (connection.phase, client.events) == (Phase.HELD, [])
    host.accept(connection)
    assert client.events == ["received", "missed", "new"]


def test_a_client_that_received_nothing_and_presents_no_offset_recovers(host: Host) -> None:
    first, client = host.connect(), Client()
    host.drop(first)
    host.event("missed")
    second = host.connect(presenting(first), client=client)
    host.read()
    assert second.recovery.recovered
    assert client.events == ["missed"]


def test_ten_recoveries_in_a_row_without_traffic(host: Host, other: Host) -> None:
    here, there = host, other
    connection = here.connect()
    for _ in range(10):
        here.drop(connection)
        here, there = there, here
        connection = here.connect(presenting(connection))
        assert (connection.recovery.recovered, connection.recovery.replayed) == (True, 0)


def test_an_offset_of_an_earlier_session_counts_as_none(host: Host) -> None:
    before = host.event("before the session")
    host.read()
    first, client = host.connect(), Client()
    host.event("missed")
    host.read()
    host.drop(first)
    assert host.connect(presenting(first, before), client=client).recovery.recovered
    assert client.events == ["missed"]


def test_a_quiet_client_recovers_from_its_proven_position(host: Host, clock: FrozenDateTimeFactory) -> None:
    first, client = host.connect(), Client()
    received = host.event("received")
    for _ in range(30):
        clock.tick(timedelta(seconds=10))
        host.emit(host.drafts.broadcast(NSP, ["e"], audience("elsewhere")))
        host.read()
        first.note(host.dispatcher.position)
        first.prove()
        host.save(first, whole=False)
    host.drop(first)
    stream = host.state.execute(GetStream())
    assert stream is not None
    assert stream.first > received, "the offset that it presents was trimmed long ago"
    assert host.connect(presenting(first, received), client=client).recovery.recovered
    assert client.events == []


def test_packets_that_are_not_recoverable_are_not_replayed(host: Host) -> None:
    first, client = host.connect(), Client()
    host.drop(first)
    host.emit(
        host.drafts.broadcast(NSP, ["volatile"], audience(), volatile=True),
        host.drafts.broadcast(NSP, ["question"], audience(first.sid), request_id="1"),
        host.drafts.broadcast(NSP, ["plain"], audience()),
    )
    host.read()
    host.connect(presenting(first), client=client)
    assert client.events == ["plain"]


def test_a_behind_reader_catches_up_with_what_the_client_has_seen(host: Host, other: Host) -> None:
    first, client = host.connect(), Client()
    seen = host.event("seen")
    host.event("missed")
    host.read()
    host.drop(first)
    second = other.connect(presenting(first, seen), client=client)
    assert second.recovery.recovered
    assert other.dispatcher.position >= seen
    other.read()
    assert client.events == ["missed"]


def test_what_a_client_presents_it_has_proven(host: Host) -> None:
    first, client = host.connect(), Client()
    seen = host.event("seen")
    host.read()
    host.drop(first)
    second = host.connect(presenting(first, seen))
    assert second.proven == seen
    host.drop(second)
    third = host.connect(presenting(second), client=client)
    assert third.recovery.recovered
    assert client.events == []


def test_a_fresh_client_sees_nothing_that_was_emitted_before_it_came(host: Host) -> None:
    client = Client()
    host.event("before")  # in the stream, and not read yet
    host.connect(client=client)
    host.event("after")
    host.read()
    assert client.events == ["after"]


def test_changes_between_the_saved_state_and_what_the_client_has_are_applied(host: Host) -> None:
    first, client = host.connect(), Client()
    host.saving = False  # it is killed before it can save what follows
    host.emit(host.drafts.change_rooms(Kind.JOIN, NSP, audience(first.sid), ["room"]))
    seen = host.event("seen", "room")
    host.read()
    late = Host(host.state, "late", settings=SETTINGS)  # its log begins after all that
    late.event("missed", "room")
    second = late.connect(presenting(first, seen), client=client)
    late.read()
    assert second.recovery.recovered
    assert second.membership.is_in("room")
    assert client.events == ["missed"]


def test_what_the_application_is_told(host: Host, clock: FrozenDateTimeFactory) -> None:
    away = gone_away(host)
    clock.tick(timedelta(seconds=7.5))
    recovery = host.connect(presenting(away, away.ended_at)).recovery
    assert (recovery.recovered, recovery.reason, recovery.replayed) == (True, None, 0)
    assert recovery.offline_for == 7.5


def test_a_client_that_does_not_ask_is_fresh_without_a_reason(host: Host) -> None:
    recovery = host.connect().recovery
    assert (recovery.recovered, recovery.reason, recovery.offline_for) == (False, None, None)


def test_while_the_store_never_answered_whoever_asks_is_told(host: Host) -> None:
    asking = admit_without_store(host.newcomer(Presented(Pid("x" * 32))), host.dispatcher)
    assert asking.recovery.reason is Reason.STORE_UNAVAILABLE
    assert admit_without_store(host.newcomer(), host.dispatcher).recovery.reason is None


# ---------------------------------------------------------------------- what happened while it was away


def test_rooms_entered_and_left_elsewhere_count_from_their_offsets(host: Host, other: Host) -> None:
    first, client = host.connect(), Client()
    host.enter(first, "old")
    host.drop(first)
    drafts = other.drafts
    other.event("1", "new")
    other.emit(drafts.change_rooms(Kind.JOIN, NSP, audience(first.sid), ["new"]))
    other.event("2", "new")
    other.event("3", "old")
    other.emit(drafts.change_rooms(Kind.LEAVE, NSP, audience("old"), ["old"]))
    other.event("4", "old")
    other.read()

    second = other.connect(presenting(first), client=client)

    assert second.recovery.recovered
    assert client.events == ["2", "3"]
    assert set(second.membership.rooms()) == {first.sid, "new"}


def test_a_disconnection_through_a_room_it_was_put_into_while_away_counts(host: Host) -> None:
    away = gone_away(host)
    host.emit(
        host.drafts.change_rooms(Kind.JOIN, NSP, audience(away.sid), ["banned"]),
        host.drafts.disconnect(NSP, audience("banned")),
    )
    host.read()
    assert host.connect(presenting(away)).recovery.reason is Reason.DISCONNECTED


def test_a_disconnection_of_others_does_not(host: Host) -> None:
    away = gone_away(host)
    host.emit(host.drafts.disconnect(NSP, audience("others")), host.drafts.disconnect(CHAT, audience()))
    host.read()
    assert host.connect(presenting(away)).recovery.recovered


def test_session_data_replaced_elsewhere_is_restored(host: Host) -> None:
    away = gone_away(host)
    host.emit(host.drafts.set_session(NSP, away.sid, {"new": True}))
    host.read()
    assert host.connect(presenting(away)).user_session == {"new": True}


def test_changes_that_the_saved_state_knows_are_not_applied_again(host: Host) -> None:
    first = host.connect()
    host.emit(host.drafts.change_rooms(Kind.JOIN, NSP, audience(first.sid), ["room"]))
    host.emit(host.drafts.set_session(NSP, first.sid, {"version": 1}))
    host.read()
    host.leave(first, "room")
    first.user_session = {"version": 2}
    host.drop(first)
    second = host.connect(presenting(first))
    assert not second.membership.is_in("room")
    assert second.user_session == {"version": 2}


# ---------------------------------------------------------------------- one owner


def test_a_client_that_moves_while_its_old_connection_is_open_takes_it_over(host: Host, other: Host) -> None:
    old_client, new_client = Client(), Client()
    held = host.connect(client=old_client)
    host.event("one")
    host.read()
    other.on_wait = host.read
    moved = other.connect(presenting(held, host.dispatcher.position), client=new_client)
    assert moved.recovery.recovered
    assert moved.recovery.offline_for is None
    host.event("two")
    host.read()
    other.read()
    assert (old_client.events, new_client.events) == (["one"], ["two"])
    assert held.phase is Phase.ENDED
    assert _performed(other, Publish)
    assert _performed(other, AwaitRelease)


def test_no_takeover_is_published_for_a_client_that_is_away(host: Host, other: Host) -> None:
    away = gone_away(host)
    assert other.connect(presenting(away)).recovery.recovered
    assert not _performed(other, Publish)
    assert not _performed(other, AwaitRelease)


def test_no_takeover_is_published_on_the_server_that_holds_the_client(host: Host) -> None:
    client = Client()
    held = host.connect(client=client)
    again = host.connect(presenting(held))
    assert again.recovery.recovered
    assert held.phase is Phase.ENDED
    assert _performed(host, Vacate)
    assert not _performed(host, Publish)


def test_nothing_is_published_for_a_claim_that_is_refused(host: Host, other: Host) -> None:
    held = host.connect()
    for presented in (presenting(held, Offset(2**60, 0)), read_auth({"pid": held.pid, "offset": 1})[0]):
        assert not other.connect(presented).recovery.recovered
    other.connect(presenting(held), identity="eve")
    host.read()
    assert held.phase is Phase.LIVE
    assert not _performed(other, Publish)


def test_a_holder_that_does_not_answer_is_not_waited_for_for_ever(host: Host, other: Host) -> None:
    held = host.connect()
    perform = other.perform

    def silent(command: Command[Any]) -> Any:
        return False if isinstance(command, AwaitRelease) else perform(command)

    other.__dict__["perform"] = silent
    assert other.connect(presenting(held)).recovery.recovered


@pytest.mark.parametrize("sequel", ["one server", "two servers"])
def test_of_two_presenters_one_after_the_other_the_later_one_has_the_session(
    host: Host, other: Host, sequel: str
) -> None:
    away = gone_away(host)
    second_host = host if sequel == "one server" else other
    second_host.on_wait = host.read
    first = host.connect(presenting(away))
    second = second_host.connect(presenting(away))
    assert (first.recovery.recovered, second.recovery.recovered) == (True, True)
    assert (first.phase, second.phase) == (Phase.ENDED, Phase.LIVE)
