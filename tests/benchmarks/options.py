"""What a process under test is told when it starts, and the events that it emits."""

import asyncio
import gc
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["EXTRAS", "RARE_GC", "Options", "collect_rarely", "event_of", "installed_extras", "leave_out"]

EXTRAS = ("hiredis", "httptools", "orjson", "uvloop")
"""Packages that may make a server faster. A process uses those that it is told, whatever is installed."""

RARE_GC = "rare gc"
"""As an extra: what is there at the start is left out of garbage collections, and these come less often."""


@dataclass(slots=True)
class Options:
    """The options of one process.

    Attributes:
        kind: the peer.
        url: of the store.
        writes_only: an emitter without a server.
        ping_interval: seconds; long, so that pings do not disturb.
        rooms: how many rooms each client enters when it connects.
        extra_room: names one more.
        data: bytes of session data that each client gets.
        settings: of our manager.
        extras: of `EXTRAS`, those that are used.
    """

    kind: str = "ours"
    url: str = "memory://"
    writes_only: bool = False
    ping_interval: float = 600.0
    rooms: int = 0
    extra_room: str = ""
    data: int = 0
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    extras: Sequence[str] = ()
    tasks: list[asyncio.Task[Any]] = field(default_factory=list[asyncio.Task[Any]])

    @classmethod
    def read(cls, text: str) -> "Options":
        """Read the argument of a process."""
        return cls(**json.loads(text))

    def room_names(self) -> list[str]:
        """Rooms that each client enters."""
        return [f"room-{number}" for number in range(self.rooms)] + (
            [self.extra_room] if self.extra_room else []
        )

    def json_module(self) -> Any:
        """The JSON module that payloads are written and read with; None for the usual one."""
        return _Orjson() if "orjson" in self.extras else None


class _Orjson:
    """What python-socketio needs of a JSON module, by orjson."""

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("orjson")

    def dumps(self, value: Any, **_options: Any) -> str:
        text: str = self._module.dumps(value).decode()
        return text

    def loads(self, text: str | bytes, **_options: Any) -> Any:
        return self._module.loads(text)


def leave_out(extras: Sequence[str]) -> None:
    """Have no library find the packages that are not among these extras."""
    for name in EXTRAS:
        if name not in extras:
            sys.modules[name] = None  # type: ignore[assignment]  # this is how Python is told so


def installed_extras() -> list[str]:
    """Everything that may make a server faster here."""
    return [*(name for name in EXTRAS if importlib.util.find_spec(name) is not None), RARE_GC]


def collect_rarely() -> None:
    """Spare the modules that will stay, and look for cycles after 50 000 new objects in place of 700."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def event_of(number: int, size: int, moment: int = 0) -> dict[str, Any]:
    """The data of an event: its number, perhaps its moment, and as many bytes as it takes."""
    event: dict[str, Any] = {"n": number, **({"t": moment} if moment else {}), "x": ""}
    event["x"] = "x" * max(0, size - len(json.dumps(["e", event], separators=(",", ":"))))
    return event
