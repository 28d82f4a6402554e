"""What the Node server is told to do, in order; one entry of the stream comes of each."""

from dataclasses import dataclass, field
from typing import Any

from recovery.records import Audience

__all__ = ["ORDERS", "Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """One call of Node's API: ``io.of(namespace).to(rooms).except(except)[act](*args, *own)``.

    Attributes:
        own: names of values that only JavaScript has (see ``peer.js``), added to the arguments.
        seen: the arguments as a JavaScript client of a Node server gets them; None if they are `args`.
    """

    act: str
    args: list[Any]
    rooms: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    namespace: str = "/"
    volatile: bool = False
    own: list[str] = field(default_factory=list)
    seen: list[Any] | None = None

    @property
    def audience(self) -> Audience:
        return Audience(tuple(self.rooms), tuple(self.excluded))


def _emit(*args: Any, **options: Any) -> Order:
    return Order("emit", list(args), **options)


EMITS = [
    _emit("plain"),
    _emit("text", "hello"),
    _emit("unicode", "Ünïcødé 漢字 🎉 \u2028 \x00"),
    _emit("quotes", '"\\/{}[]'),
    _emit("numbers", 0, -1, 1.5, -0.25, 2**53 - 1, -(2**53 - 1), 1e300, 5e-324),
    _emit("constants", None, True, False),
    _emit("empty", "", [], {}),
    _emit("nested", {"a": [{"b": {"c": [1, [2, [3]]]}}]}),
    _emit("keys", {"1": "one", "": "empty", "ü": "u"}),
    _emit("large", "x" * 100_000),
    _emit("binary", b"\x00\xff\x80"),
    _emit("empty binary", b""),
    _emit("large binary", bytes(range(256)) * 500),
    _emit("deep binary", {"files": [{"name": "ü", "data": b"\x01", "tags": [None, 1.5, b"\x02"]}]}),
    _emit("numbers beside binary", b"\x00", 0, -1, 1.5, 2**53 - 1, -(2**53 - 1), 2**32, 255, 65536),
    _emit("constants beside binary", b"\x00", None, True, False, "", [], {}),
    _emit("to a room", rooms=["news"]),
    _emit("to rooms", rooms=["news", "spörts", "1"]),
    _emit("except", excluded=["muted"]),
    _emit("to and except", rooms=["news"], excluded=["a", "b"]),
    _emit("binary to rooms", b"\x00", rooms=["news"], excluded=["muted"]),
    _emit("volatile", volatile=True),
    _emit("volatile binary", b"\x00", rooms=["news"], volatile=True),
    _emit("elsewhere", {"x": 1}, namespace="/chat"),
    _emit("elsewhere binary", b"\x00", namespace="/chät", rooms=["news"]),
    _emit("date", own=["date"], seen=["date", "2026-11-21T12:00:00.123Z"]),
    _emit("undefined", own=["nothing"], seen=["undefined", None]),
    _emit("not a number", own=["not a number"], seen=["not a number", None]),
    _emit("typed array", own=["typed array"], seen=["typed array", b"\x01\x02\x03"]),
    _emit(
        "undefined beside binary", b"\x00", own=["nothing"], seen=["undefined beside binary", b"\x00", None]
    ),
    _emit(
        "date beside binary",
        b"\x00",
        own=["date"],
        seen=["date beside binary", b"\x00", "2026-11-21T12:00:00.123Z"],
    ),
    _emit(
        "not a number beside binary",
        b"\x00",
        own=["not a number"],
        seen=["not a number beside binary", b"\x00", None],
    ),
]
MOVES = [
    Order("socketsJoin", ["room"], rooms=["news"]),
    Order("socketsJoin", [["one", "two"]], excluded=["muted"]),
    Order("socketsLeave", ["room"], rooms=["news", "sport"]),
    Order("socketsLeave", [["one", "ü"]], namespace="/chat"),
]
DISCONNECTIONS = [
    Order("disconnectSockets", [], rooms=["banned"]),
    Order("disconnectSockets", [True], rooms=["banned"], excluded=["staff"], namespace="/chat"),
]
ORDERS = [*EMITS, *MOVES, *DISCONNECTIONS]
