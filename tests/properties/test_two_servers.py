"""Two servers over one store, clients that come and go between them, and the promise (P1, P2, P4, P5).

Every step may leave a reader behind, an emit unread, a packet on its way to a client that is gone. What each
client must have received is told by a model that knows the whole stream and every change of rooms.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recovery.commands import Read
from recovery.core.connection import Connection, Phase
from recovery.core.control import RoomsChange, read_control
from recovery.core.decision import Presented
from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.records import Audience, Room
from recovery.settings import Settings
from recovery.stores.memory_state import MemoryState
from tests.unit.builders import NSP, Client, Frame
from tests.unit.hosts import Host, Names

ROOMS = ("a", "b")
SETTINGS = Settings(max_disconnection_duration=3600.0)
CODEC = PayloadCodec()

servers = st.integers(0, 1)
players = st.integers(0, 1)
rooms = st.sampled_from(ROOMS)
addressed = st.lists(rooms | players, max_size=2)


@dataclass
class Player:
    """A client as a person would see it: what arrived, over however many connections.

    Attributes:
        received: packets of earlier connections that arrived.
        arrived: how many packets of the present connection certainly did.
        changes: its rooms as the application changed them, each after an offset.
    """

    host: Host
    connection: Connection[Frame]
    client: Client
    start: Offset
    received: list[Frame] = field(default_factory=list)
    arrived: int = 0
    changes: list[tuple[Offset, str, bool]] = field(default_factory=list)

    @property
    def online(self) -> bool:
        return self.connection.phase is Phase.LIVE

    def lose(self, arrived: int) -> None:
        """The transport is gone; so many packets of it had arrived."""
        self.received += self.client.frames[:arrived]
        self.client, self.arrived = Client(), 0

    def present(self) -> Presented:
        frames = self.received
        return Presented(self.connection.pid, parse_offset(frames[-1].args[-1]) if frames else None)


class TwoServers(RuleBasedStateMachine):
    """The servers, and two clients, one of which begins on each."""

    def __init__(self) -> None:
        super().__init__()
        self.state = MemoryState()
        names = Names()
        self.hosts = [Host(self.state, name, settings=SETTINGS, names=names) for name in ("one", "two")]
        self.players = [self._newcomer(host) for host in self.hosts]
        self.emitted = 0

    def _newcomer(self, host: Host) -> Player:
        client = Client()
        connection = host.connect(client=client)
        return Player(host, connection, client, connection.membership.start)

    @rule(
        server=servers,
        to=st.lists(rooms | players, max_size=2),
        excluded=st.lists(rooms | players, max_size=1),
    )
    def emit(self, server: int, to: list[str | int], excluded: list[str | int]) -> None:
        self.emitted += 1
        audience = Audience(self._names(to), self._names(excluded))
        host = self.hosts[server]
        host.emit(host.drafts.broadcast(NSP, [str(self.emitted)], audience))

    @rule(server=servers, count=st.integers(1, 4))
    def read(self, server: int, count: int) -> None:
        self.hosts[server].read(count)

    @rule(server=servers, to=rooms | players, room=rooms, entered=st.booleans())
    def change_rooms_anywhere(self, server: int, to: str | int, room: str, entered: bool) -> None:
        host, kind = self.hosts[server], Kind.JOIN if entered else Kind.LEAVE
        host.emit(host.drafts.change_rooms(kind, NSP, Audience(self._names([to])), [room]))

    @rule(who=players, room=rooms, entered=st.booleans())
    def change_rooms_here(self, who: int, room: str, entered: bool) -> None:
        player = self.players[who]
        if player.online:
            player.changes.append((self._edge(player.host), room, entered))
            change = player.host.enter if entered else player.host.leave
            change(player.connection, room)

    @rule(who=players)
    def ping_and_pong(self, who: int) -> None:
        player = self.players[who]
        if player.online:
            player.connection.note(player.host.dispatcher.position)
            player.arrived = len(player.client.frames)
            player.connection.prove()
            player.host.save(player.connection, whole=False)

    @rule(who=players, data=st.data())
    def drop(self, who: int, data: st.DataObject) -> None:
        player = self.players[who]
        if player.online:
            player.lose(data.draw(st.integers(player.arrived, len(player.client.frames))))
            player.host.drop(player.connection)

    @rule(who=players, server=servers, data=st.data())
    def come_back(self, who: int, server: int, data: st.DataObject) -> None:
        """The client comes back to a server; its old connection may still be open there or elsewhere."""
        player = self.players[who]
        player.lose(data.draw(st.integers(player.arrived, len(player.client.frames))))
        host = self.hosts[server]
        old, player.host = player.connection, host
        player.connection = host.connect(player.present(), client=player.client)
        assert player.connection.recovery.recovered, player.connection.recovery.reason
        assert (player.connection.sid, player.connection.pid) == (old.sid, old.pid)

    @precondition(lambda self: any(player.online for player in self.players))
    @invariant()
    def nobody_gets_more_than_is_due(self) -> None:
        for player in self.players:
            got = self._got(player)
            assert got == self._due(player)[: len(got)]

    def teardown(self) -> None:
        """In the end all come back, all is read, and everybody has everything, once and in order."""
        for player in self.players:
            if not player.online or player.host.dispatcher.find(NSP, player.connection.sid) is None:
                player.lose(player.arrived)
                player.connection = player.host.connect(player.present(), client=player.client)
        for host in [*self.hosts, *self.hosts]:
            host.read()
        for player in self.players:
            assert self._got(player) == self._due(player)
            assert set(player.connection.membership.rooms()) - {player.connection.sid} == {
                room for room in self._rooms_at(player, None) if room in ROOMS
            }
            holders = [host for host in self.hosts if host.dispatcher.find(NSP, player.connection.sid)]
            assert holders == [player.host]

    # ------------------------------------------------------------------ the model

    def _names(self, names: list[str | int]) -> tuple[Room, ...]:
        """Rooms; a number stands for a player's sid."""
        return tuple(self.players[name].connection.sid if isinstance(name, int) else name for name in names)

    def _got(self, player: Player) -> list[str]:
        return [frame.args[0] for frame in [*player.received, *player.client.frames]]

    def _stream(self) -> list[StoredEntry[Frame]]:
        return [StoredEntry.read(entry) for entry in self.state.execute(Read(ORIGIN, 10_000, 0))]

    def _edge(self, host: Host) -> Offset:
        """A change made now counts after all that the server has read or written."""
        written = [
            entry.offset for entry in self._stream() if entry.head and entry.head.server == host.server
        ]
        return max([host.dispatcher.position, *written])

    def _due(self, player: Player) -> list[str]:
        due: list[str] = []
        for entry in self._stream():
            if entry.head is None or entry.head.kind is not Kind.BROADCAST or entry.offset <= player.start:
                continue
            event = entry.broadcast(CODEC)
            if _is_due(event.audience, self._rooms_at(player, entry.offset)):
                due.append(event.args[0])
        return due

    def _rooms_at(self, player: Player, place: Offset | None) -> set[Room]:
        """The rooms at a place in the stream, None for its end, by walking there from the start."""
        inside: set[Room] = {player.connection.sid}
        own = list(player.changes)
        for entry in self._stream():
            if place is not None and entry.offset >= place:
                break
            if entry.offset > player.start and entry.head is not None and entry.head.kind in _MOVES:
                change = read_control(entry, CODEC)
                assert isinstance(change, RoomsChange)
                if _is_due(change.audience, inside):
                    (inside.update if change.entered else inside.difference_update)(change.rooms)
            for _, room, entered in [each for each in own if each[0] == entry.offset]:
                (inside.add if entered else inside.discard)(room)
        return inside


_MOVES = {Kind.JOIN, Kind.LEAVE}


def _is_due(audience: Audience, inside: set[Room]) -> bool:
    addressed = not audience.rooms or bool(inside.intersection(audience.rooms))
    return addressed and not inside.intersection(audience.excluded)


TestTwoServers = TwoServers.TestCase
TestTwoServers.settings = settings(stateful_step_count=40)
