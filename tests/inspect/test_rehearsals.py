"""What a rehearsal says before is what the admission then does, over generated sessions and streams."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from recovery.commands import ClaimRefused, OpenStream
from recovery.core.audience import Obstacle
from recovery.core.connection import Connection, Phase
from recovery.core.decision import read_auth
from recovery.entries import Kind
from recovery.errors import StoreUnavailableError
from recovery.inspect import Rehearsal, explain, rehearse
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.records import StoredSession
from recovery.inspect.unsent import UnsentReason, list_unsent
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Audience, Draft, Entry, Epoch, Namespace, Pid
from recovery.settings import Settings
from recovery.stores.memory_state import MemoryState
from recovery.testing.strategies import audiences
from tests.unit.builders import CHAT, NSP, Client, Frame
from tests.unit.hosts import Host, Names

SETTINGS = Settings(max_disconnection_duration=60.0, checkpoint_interval=5.0, max_replay=4)
ROOMS = ("a", "b")
WHO = ("sid00000000000000000001", "sid00000000000000000002")  # as `Names` will name ann and bob


@dataclass
class World:
    """A server, ann and bob on it, and a clock. The methods are what may happen.

    Attributes:
        offsets: of everything that was emitted.
    """

    now: float = 1_700_000_000.0
    offsets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = MemoryState(clock=lambda: self.now)
        self.names = Names()
        self.host = Host(self.state, "one", settings=SETTINGS, names=self.names)
        self.drafts = self.host.drafts
        self.clients = [Client(), Client()]
        self.players = [self.host.connect(client=client, identity="user") for client in self.clients]

    @property
    def ann(self) -> Connection[Frame]:
        return self.players[0]

    @property
    def is_open(self) -> bool:
        return self.ann.phase is Phase.LIVE

    def append(self, draft: Draft) -> None:
        self.now += 0.5
        self.offsets += map(str, self.host.emit(draft))

    def emit(self, namespace: Namespace, whom: Audience, *, volatile: bool, ask: str | None) -> None:
        args = ["e", len(self.offsets)]
        self.append(self.drafts.broadcast(namespace, args, whom, volatile=volatile, request_id=ask))

    def change_rooms(self, kind: Kind, whom: Audience, room: str) -> None:
        self.append(self.drafts.change_rooms(kind, NSP, whom, [room]))

    def set_session(self, number: int) -> None:
        self.append(self.drafts.set_session(NSP, self.ann.sid, {"number": number}))

    def read(self) -> None:
        self.host.read()

    def enter(self, room: str) -> None:
        if self.is_open:
            self.host.enter(self.ann, room)

    def leave(self, room: str) -> None:
        if self.is_open:
            self.host.leave(self.ann, room)

    def prove(self) -> None:
        self.ann.note(self.host.dispatcher.position)
        self.ann.prove()
        if self.is_open:
            self.host.save(self.ann, whole=False)

    def drop(self) -> None:
        self.host.drop(self.ann)

    def stay(self) -> None:
        pass

    def disconnect(self) -> None:
        self.host.disconnect(self.ann)

    def disconnect_from_elsewhere(self) -> None:
        self.append(self.drafts.disconnect(NSP, Audience((self.ann.sid,))))

    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.append(self.drafts.broadcast(NSP, ["after"], Audience()))  # which trims

    def lose_sessions(self) -> None:
        self.state.lose_sessions()

    def replace_stream(self) -> None:
        self.state.delete_stream()
        self.state.execute(OpenStream(Epoch("another")))


Step = Callable[[World], None]


def steps(method: Callable[..., None], **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """A call of a method of the world, with generated arguments."""
    return st.fixed_dictionaries(arguments).map(lambda drawn: partial(method, **drawn))


to = audiences(st.sampled_from([*ROOMS, *WHO]))
rooms = st.sampled_from(ROOMS)
namespaces = st.sampled_from((NSP, NSP, NSP, CHAT))
happenings = st.one_of(
    steps(
        World.emit,
        namespace=namespaces,
        whom=to,
        volatile=st.sampled_from((False, False, False, True)),
        ask=st.sampled_from((None, None, None, "asked")),
    ),
    steps(World.change_rooms, kind=st.sampled_from((Kind.JOIN, Kind.LEAVE)), whom=to, room=rooms),
    steps(World.set_session, number=st.integers(0, 9)),
    steps(World.enter, room=rooms),
    steps(World.leave, room=rooms),
    st.sampled_from([World.read, World.drop, World.prove]),
)
ends = st.one_of(
    st.sampled_from(
        [
            World.stay,
            World.drop,
            World.disconnect,
            World.disconnect_from_elsewhere,
            World.lose_sessions,
            World.replace_stream,
        ]
    ),
    steps(World.let_time_pass, seconds=st.sampled_from((30, 59, 61, 130, 1000))),
)


@st.composite
def presented_offsets(draw: st.DrawFn, world: World) -> str | None:
    beyond = f"{round(world.now * 1000) + 10**6}-0"
    between = [offset.partition("-")[0] + "-777" for offset in world.offsets]
    return draw(st.sampled_from([None, *world.offsets, *between, beyond, "1-1", "nonsense", "5-5-5"]))


def _admitted(world: World, offset: str | None, namespace: Namespace, identity: str) -> tuple[Any, Client]:
    """Let ann come back to a server that has just started."""
    fresh = Host(world.state, "new", settings=SETTINGS, names=world.names)
    client = Client()
    presented, _ = read_auth({"pid": world.ann.pid, "offset": offset})
    connection = fresh.admit(presented, namespace=namespace, identity=identity, client=client)
    connection.go_live()
    return connection, client


def _check(world: World, rehearsal: Rehearsal, connection: Connection[Frame], client: Client) -> None:
    assert rehearsal.reason is connection.recovery.reason
    assert rehearsal.recovered is connection.recovery.recovered
    assert [tuple(packet.args) for packet in rehearsal.packets] == [frame.args for frame in client.frames]
    if rehearsal.recovered:
        assert set(rehearsal.rooms) == set(connection.membership.rooms())
        assert rehearsal.connection.user_session == connection.user_session
        assert rehearsal.connection.proven == connection.proven
        assert rehearsal.connection.sid == connection.sid == world.ann.sid


@given(
    st.lists(happenings, max_size=12),
    ends,
    st.data(),
    namespaces,
    st.sampled_from(("user", "user", "user", "another")),
)
def test_a_rehearsal_tells_what_the_admission_then_does(
    before: list[Step], end: Step, data: st.DataObject, namespace: Namespace, identity: str
) -> None:
    world = World()
    for step in before:
        step(world)
    end(world)
    offset = data.draw(presented_offsets(world))
    source = MemorySource(world.state)
    stored = list(source.sessions()), source.stream()
    rehearsal = rehearse(
        source, str(world.ann.pid), offset, namespace=namespace, identity=identity, settings=SETTINGS
    )
    assert (list(source.sessions()), source.stream()) == stored, "something was changed"
    connection, client = _admitted(world, offset, namespace, identity)
    event(rehearsal.outcome)
    event(f"{len(rehearsal.packets)} packets")
    _check(world, rehearsal, connection, client)
    sent = [packet.offset for packet in rehearsal.packets]
    unsent = [str(each.offset) for each in list_unsent(rehearsal)]
    if rehearsal.recovered:
        looked_at = [str(entry.offset) for entry in rehearsal.log.entries(rehearsal.log.start)]
        assert sorted(sent + unsent) == sorted(looked_at), "each entry is sent, or there is a reason"
    else:
        assert sent == unsent == []


def _away() -> tuple[World, MemorySource]:
    """Ann was in room a, and dropped; then three packets came, one of them for room b."""
    world = World()
    world.host.read()
    world.host.enter(world.ann, "a")
    world.host.drop(world.ann)
    for room in ("a", "b", "a"):
        world.append(world.drafts.broadcast(NSP, ["e", room], Audience((room,))))
    return world, MemorySource(world.state)


def test_a_client_gets_what_it_missed_in_order() -> None:
    world, source = _away()
    rehearsal = rehearse(source, str(world.ann.pid))
    assert rehearsal.outcome == "recovered"
    assert [packet.args for packet in rehearsal.packets] == [
        ["e", "a", world.offsets[0]],
        ["e", "a", world.offsets[2]],
    ]
    assert set(rehearsal.rooms) == {world.ann.sid, "a"}
    assert [(str(each.offset), each.reason, each.event) for each in list_unsent(rehearsal)] == [
        (world.offsets[1], Obstacle.OTHER_ROOM, "e")
    ]


def test_a_stream_that_is_gone_is_another_epoch() -> None:
    world, source = _away()
    world.state.delete_stream()
    rehearsal = rehearse(source, str(world.ann.pid))
    assert rehearsal.reason is Reason.EPOCH_CHANGED
    assert rehearsal.stream is None


def test_what_the_log_of_a_server_cannot_hold_is_too_large() -> None:
    world, source = _away()
    assert rehearse(source, str(world.ann.pid), settings=Settings(log_max_entries=2)).reason is (
        Reason.REPLAY_TOO_LARGE
    )
    assert rehearse(source, str(world.ann.pid), settings=Settings(max_replay=1)).reason is (
        Reason.REPLAY_TOO_LARGE
    )


def test_the_moment_may_be_another_one() -> None:
    world, source = _away()
    later = round(world.now * 1000) + 61_000
    assert rehearse(source, str(world.ann.pid), now_ms=later).reason is Reason.SESSION_EXPIRED


def test_a_session_without_a_value_that_was_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world, source = _away()
    [stored] = [each for each in source.sessions() if each.pid == world.ann.pid]

    def without_value(_pid: Pid) -> StoredSession:
        return replace(stored, value=None, size=2**30)

    monkeypatch.setattr(source, "session", without_value)
    rehearsal = rehearse(source, str(world.ann.pid), settings=Settings(max_session_bytes=2**31))
    assert rehearsal.claim == ClaimRefused(
        Reason.SESSION_UNKNOWN, f"the session has {2**30} bytes, more than is read"
    )


def test_a_source_that_fails_is_an_error_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world, source = _away()

    def fail(upto: Offset, count: int) -> tuple[Entry, ...]:
        raise StoreUnavailableError("gone", maybe_applied=False)

    monkeypatch.setattr(source, "read_back", fail)
    with pytest.raises(StoreUnavailableError, match="gone"):
        rehearse(source, str(world.ann.pid))


def test_the_obstacles_are_told_apart() -> None:
    world, source = World(), MemorySource
    world.host.read()
    world.append(world.drafts.broadcast(NSP, ["before joining"], Audience(("a",))))
    world.host.read()
    world.host.enter(world.ann, "a")
    world.append(world.drafts.broadcast(NSP, ["sent"], Audience(("a",))))
    world.host.read()
    world.host.leave(world.ann, "a")
    for name, audience in (
        ("after leaving", Audience(("a",))),
        ("other room", Audience(("b",))),
        ("excluded", Audience((), (world.ann.sid,))),
    ):
        world.append(world.drafts.broadcast(NSP, [name], audience))
    world.append(world.drafts.broadcast(CHAT, ["other namespace"], Audience()))
    world.append(world.drafts.broadcast(NSP, ["volatile"], Audience(), volatile=True))
    world.append(world.drafts.broadcast(NSP, ["acknowledgement"], Audience(), request_id="x"))
    world.append(world.drafts.change_rooms(Kind.JOIN, NSP, Audience(("b",)), ["c"]))
    world.append(Draft(((b"nsp", b"/"), (b"type", b"3"), (b"data", b"?"), (b"to", b"[]"))))
    world.append(Draft(((b"nsp", b"/"), (b"type", b"77"))))
    rehearsal = rehearse(source(world.state), str(world.ann.pid))
    assert [packet.args[0] for packet in rehearsal.packets] == ["sent"]
    reasons = [(each.event.replace(" ", "-"), each.reason.value) for each in list_unsent(rehearsal)]
    assert all(event in {reason, ""} for event, reason in reasons), reasons
    assert [reason for event, reason in reasons if not event] == ["control", "unreadable", "unreadable"]
    assert len(reasons) == 10


def test_what_is_received_already_is_said() -> None:
    world, source = _away()
    rehearsal = rehearse(source, str(world.ann.pid), world.offsets[0])
    assert [packet.offset for packet in rehearsal.packets] == [world.offsets[2]]
    assert [each.reason for each in list_unsent(rehearsal)] == [
        UnsentReason.ALREADY_RECEIVED,
        Obstacle.OTHER_ROOM,
    ]


def test_an_offset_of_an_earlier_session_that_cannot_be_told_from_its_own_is_explained() -> None:
    """The server that let ann in lagged behind what she had: she keeps that offset."""
    world = World()
    world.append(world.drafts.broadcast(NSP, ["before"], Audience()))
    stranger = Client()
    presented, _ = read_auth({"pid": "x" * 20, "offset": world.offsets[0]})
    slow = Host(MemoryState(clock=lambda: world.now), "slow", settings=SETTINGS, names=world.names)
    slow.state = world.state
    slow.dispatcher.skip_to(world.ann.membership.start, world.host.dispatcher.epoch)
    ann = slow.connect(presented, client=stranger)
    assert ann.foreign is not None
    slow.drop(ann)
    rehearsal = rehearse(MemorySource(world.state), str(ann.pid), world.offsets[0])
    explanation = explain(rehearsal, round(world.now * 1000))
    assert rehearsal.reason is Reason.OFFSET_UNKNOWN
    assert [step.name for step in explanation.steps] == [
        *("form", "claim", "session", "floor", "stream", "replay")
    ]
    assert "of an earlier session" in explanation.steps[3].said
    assert not explanation.steps[-1].passed
