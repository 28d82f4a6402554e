"""Entries and sessions that some other program has written into the store."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from recovery.commands import Append
from recovery.packing import pack
from recovery.records import Draft, Epoch, Pid, ServerId
from recovery.stores.memory import MemoryState
from tests.interleavings.harness import World

__all__ = ["event", "fields", "inject", "nested", "packed", "poison_claim"]

_producers = iter(range(10**9))


def nested(depth: int) -> object:
    """A list in a list in a list."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def packed(payload: object) -> bytes:
    """The ``data`` field in its other form."""
    return base64.b64encode(pack(payload))


def event(*args: object, rooms: object = (), **more: object) -> dict[str, Any]:
    """The payload of an event."""
    return {
        "packet": {"type": 2, "data": list(args)},
        "opts": {"rooms": rooms, "except": [], "flags": {}},
        **more,
    }


def fields(kind: int = 3, payload: object = None, **changes: object) -> dict[bytes, bytes]:
    """The fields of an entry; a change to None leaves one out."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    made: dict[str, object] = {"uid": b"peer", "nsp": b"/", "type": b"%d" % kind, "data": data, **changes}
    return {
        name.encode(): value if isinstance(value, bytes) else str(value).encode()
        for name, value in made.items()
        if value is not None
    }


def inject(world: World, *entries: Mapping[bytes, bytes]) -> None:
    """Put entries into the stream, as another program would."""
    drafts = tuple(Draft(tuple(each.items())) for each in entries)
    producer = ServerId(f"stranger {next(_producers)}")
    world.state.execute(Append(producer, 1, drafts, Epoch("e"), 10**9, None))


def poison_claim(state: MemoryState, pid: str) -> Any:
    """What the store has under a pid, to be tampered with."""
    return state._claims[Pid(pid)]
