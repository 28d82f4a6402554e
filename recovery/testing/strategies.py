"""Hypothesis strategies: offsets, rooms, audiences, packets, and histories that keep the promise.

A history from here is imagined: no server ran. It is right by construction, so whatever reads histories (a
checker of an application's own, a report, a page) can be tested with it, and with what a test breaks in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from recovery.offsets import ORIGIN, Offset
from recovery.records import Audience, Namespace, Room
from recovery.testing.history import Accepted, Dropped, Emitted, Ended, History, MembershipChanged, Received

__all__ = ["audiences", "histories", "offsets", "packets", "rooms"]

_PART = 2**64 - 1
_LAST = Offset(_PART, _PART)
_PRODUCERS = st.sampled_from(("server-1", "server-2"))
_MOSTLY = st.sampled_from((True, True, True, False))
_ROOT = st.just(Namespace("/"))


def offsets(*, min_value: Offset = ORIGIN, max_value: Offset = _LAST) -> st.SearchStrategy[Offset]:
    """Any offset between two, both included; small ones first."""
    whole = st.builds(Offset, st.integers(min_value.ms, max_value.ms), st.integers(0, _PART))
    return whole.map(lambda offset: min(max(offset, min_value), max_value))


def rooms() -> st.SearchStrategy[Room]:
    """Any room that can be stored: text that UTF-8 can write, or a whole number of 64 bits."""
    text: st.SearchStrategy[Room] = st.text(st.characters(codec="utf-8"), max_size=20)
    return text | st.integers(-(2**63), _PART)


def audiences(
    among: st.SearchStrategy[Room] | None = None, *, max_rooms: int = 2, max_excluded: int = 1
) -> st.SearchStrategy[Audience]:
    """Whom a packet addresses; no rooms is everyone.

    Args:
        among: the rooms to choose from, any by default.
    """
    chosen = rooms() if among is None else among
    return st.builds(
        Audience,
        st.lists(chosen, max_size=max_rooms).map(tuple),
        st.lists(chosen, max_size=max_excluded).map(tuple),
    )


def packets(
    *,
    producers: st.SearchStrategy[str] = _PRODUCERS,
    audiences: st.SearchStrategy[Audience] | None = None,
    recoverable: st.SearchStrategy[bool] = _MOSTLY,
    namespaces: st.SearchStrategy[Namespace] = _ROOT,
) -> st.SearchStrategy[Emitted]:
    """A packet to be emitted: its name, number and offset are for whoever emits it."""
    return st.builds(
        Emitted,
        packet=st.just(""),
        producer=producers,
        number=st.just(0),
        namespace=namespaces,
        audience=_audiences() if audiences is None else audiences,
        recoverable=recoverable,
    )


_audiences = audiences


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    clients: Sequence[str] = ("ann", "bob", "cat"),
    among: Sequence[Room] = ("a", "b", 1),
    min_steps: int = 0,
    max_steps: int = 30,
    vague: bool = True,
) -> History:
    """A history of a cluster that keeps the promise.

    Clients connect, enter and leave rooms, lose their connections with the server's knowledge or without,
    come back, recovered or not, and end their sessions, while servers emit.

    Args:
        clients: their names.
        among: the rooms that there are, besides the sids.
        vague: changes of rooms may be known to lie between two offsets only.
    """
    steps = draw(st.lists(st.sampled_from(_STEPS), min_size=min_steps, max_size=max_steps))
    cluster = _Imagined(draw, [_Client(name) for name in clients], among, vague=vague)
    for step in steps:
        step(cluster)
    settled = {client.name for client in cluster.clients if client.open and not client.deaf}
    return History(cluster.history.events, settled)


@dataclass(slots=True)
class _Client:
    """A client of the imagined cluster.

    Attributes:
        rooms: of its session; empty if it has none.
        open: it has a connection.
        deaf: what is written to that connection does not reach it.
        missed: what it is owed when it comes back.
    """

    name: str
    sid: str = ""
    connection: int = 0
    rooms: set[Room] = field(default_factory=set[Room])
    open: bool = False
    deaf: bool = False
    missed: list[Emitted] = field(default_factory=list[Emitted])


@dataclass(slots=True)
class _Imagined:
    """A cluster in which nothing takes time."""

    draw: st.DrawFn
    clients: list[_Client]
    among: Sequence[Room]
    vague: bool
    history: History = field(default_factory=History)
    place: int = 0
    connections: int = 0

    @property
    def end(self) -> Offset:
        """Of the stream."""
        return Offset(self.place, 0)

    def emit(self) -> None:
        self.place += 1
        packet = Emitted(
            f"p{self.place}",
            self.draw(_PRODUCERS),
            self.place,
            audience=self._audience(),
            offset=self.end,
            stored=(stored := self.draw(_OUTCOMES)),
            recoverable=self.draw(_MOSTLY),
        )
        self.history.add(packet)
        for client in self.clients if stored is not False else ():
            if _is_addressed(packet.audience, client.rooms):
                self._deliver(packet, client)

    def connect(self) -> None:
        self._connect(self._client())

    def _connect(self, client: _Client) -> None:
        self._drop(client)
        self.connections += 1
        client.sid = f"sid-{self.connections}"
        client.rooms, client.missed = {client.sid}, []
        self._accept(client, recovered=False)

    def recover(self) -> None:
        client = self._client()
        if not client.sid:
            return self._connect(client)
        self._drop(client)
        self.connections += 1
        self._accept(client, recovered=True)
        missed, client.missed = client.missed, []
        for packet in missed:
            self._deliver(packet, client)
        return None

    def drop(self) -> None:
        self._drop(self._client())

    def deafen(self) -> None:
        client = self._client()
        client.deaf = client.open

    def enter(self) -> None:
        client, room = self._client(), self.draw(st.sampled_from(self.among))
        if client.sid:
            client.rooms.add(room)
            self._change(client, room, entered=True)

    def leave(self) -> None:
        client, room = self._client(), self.draw(st.sampled_from(self.among))
        if client.sid:
            client.rooms.discard(room)
            self._change(client, room, entered=False)

    def finish(self) -> None:
        client = self._client()
        if client.sid:
            self.history.add(Ended(client.name, after=self.end, by=self.end))
            client.sid, client.rooms, client.open = "", set(), False

    def _audience(self) -> Audience:
        """Everyone, or members of one or two rooms but those of another."""
        targets = [*self.among, *(client.sid for client in self.clients if client.sid)]
        chosen = [targets[number % len(targets)] for number in self.draw(_CHOICES)]
        return Audience(tuple(chosen[:2]), tuple(chosen[2:]))

    def _client(self) -> _Client:
        return self.draw(st.sampled_from(self.clients))

    def _accept(self, client: _Client, *, recovered: bool) -> None:
        client.connection, client.open, client.deaf = self.connections, True, False
        accepted = Accepted(
            client.name, client.connection, client.sid, recovered, after=self.end, by=self.end
        )
        self.history.add(accepted)

    def _deliver(self, packet: Emitted, client: _Client) -> None:
        heard = client.open and not client.deaf
        if client.open:
            received = Received(client.name, client.connection, packet.packet, packet.offset, heard=heard)
            self.history.add(received)
        if not heard and packet.recoverable:
            client.missed.append(packet)

    def _change(self, client: _Client, room: Room, *, entered: bool) -> None:
        before, behind = self.draw(st.tuples(_DOUBTS, _DOUBTS)) if self.vague else (0, 0)
        after, by = Offset(max(self.place - before, 0), 0), Offset(self.place + behind, 0)
        self.history.add(MembershipChanged(client.name, room, entered, after, by))

    def _drop(self, client: _Client) -> None:
        if client.open:
            self.history.add(Dropped(client.name, client.connection))
        client.open = False


_DOUBTS = st.integers(0, 2)
_OUTCOMES = st.sampled_from((True, True, True, True, None, False))
_CHOICES: st.SearchStrategy[list[int]] = st.just(list[int]()) | st.lists(st.integers(0, 20), max_size=3)
_STEPS: Sequence[Callable[[_Imagined], None]] = (
    *(_Imagined.emit,) * 6,
    *(_Imagined.recover,) * 3,
    *(_Imagined.enter,) * 2,
    _Imagined.connect,
    _Imagined.drop,
    _Imagined.deafen,
    _Imagined.leave,
    _Imagined.finish,
)


def _is_addressed(audience: Audience, inside: set[Room]) -> bool:
    addressed = bool(inside) and (not audience.rooms or bool(inside.intersection(audience.rooms)))
    return addressed and not inside.intersection(audience.excluded)
