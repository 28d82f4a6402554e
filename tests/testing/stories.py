"""Small histories, told in a few words each."""

from typing import Any

from recovery.offsets import Offset
from recovery.records import Audience, Namespace, Room
from recovery.testing.checker import Kind, check
from recovery.testing.history import (
    Accepted,
    Emitted,
    Ended,
    History,
    MembershipChanged,
    Received,
    WritesLost,
)

__all__ = ["CHAT", "NEWS", "Story", "at"]


def at(place: int) -> Offset:
    """The offset of a place; 0 is before the first."""
    return Offset(place, 0)


class Story:
    """A history under construction; packet ``p5`` stands at place 5 unless told."""

    def __init__(self, *settled: str) -> None:
        self.history = History(settled=set(settled))
        self._connections = 0
        self._latest: dict[str, int] = {}
        self._sids: dict[str, str] = {}

    def emit(self, *places: int, to: Audience | None = None, by: str = "server", **fields: Any) -> None:
        for place in places:
            known: dict[str, Any] = {
                "offset": at(place),
                "number": place,
                "audience": to or Audience(),
                **fields,
            }
            self.history.add(Emitted(f"p{place}", by, **known))

    def connect(self, client: str, after: int = 0, by: int | None = None, **fields: Any) -> int:
        """A fresh session, under a new sid; return the number of the connection."""
        self._sids[client] = f"{client}-{self._connections}"
        return self._accept(client, after, by, {"recovered": False, **fields})

    def recover(self, client: str, after: int = 0, by: int | None = None, **fields: Any) -> int:
        """The same session, on a new connection; return its number."""
        return self._accept(client, after, by, {"recovered": True, **fields})

    def _accept(self, client: str, after: int, by: int | None, fields: dict[str, Any]) -> int:
        self._connections += 1
        known: dict[str, Any] = {"sid": self._sids.get(client, "nobody's"), **fields}
        end = at(after if by is None else by)
        self.history.add(Accepted(client, self._connections, after=at(after), by=end, **known))
        self._latest[client] = self._connections
        return self._connections

    def receive(self, client: str, *places: int, on: int | None = None, **fields: Any) -> None:
        connection = self._latest[client] if on is None else on
        for place in places:
            known: dict[str, Any] = {"offset": at(place), **fields}
            self.history.add(Received(client, connection, f"p{place}", **known))

    def enter(self, client: str, room: Room, after: int, by: int | None, **fields: Any) -> None:
        self._change(client, room, after, by, entered=True, **fields)

    def leave(self, client: str, room: Room, after: int, by: int | None, **fields: Any) -> None:
        self._change(client, room, after, by, entered=False, **fields)

    def _change(self, client: str, room: Room, after: int, by: int | None, **fields: Any) -> None:
        end = None if by is None else at(by)
        self.history.add(MembershipChanged(client, room, after=at(after), by=end, **fields))

    def end(self, client: str, after: int, by: int | None = None, **fields: Any) -> None:
        end = None if by is None else at(by)
        self.history.add(Ended(client, at(after), end, **fields))

    def lose_writes(self, after: int, **fields: Any) -> None:
        self.history.add(WritesLost(at(after), **fields))

    def sid(self, client: str) -> str:
        return self._sids[client]

    @property
    def found(self) -> list[tuple[Kind, str, str | None]]:
        """What the checker says: kind, client and packet."""
        return [(each.kind, each.client, each.packet) for each in check(self.history)]


CHAT = Namespace("/chat")
NEWS = Audience(("news",))
