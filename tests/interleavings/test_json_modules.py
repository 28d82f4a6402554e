"""An application's own JSON module (`json=` of the server) says what clients get, live and replayed."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from socketio import packet as sio_packet

from adapter import AsyncRecoveryManager
from tests.interleavings.harness import HeldStore, World, settle

AT = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


class WithDates:
    """The standard library's module, taught more types."""

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        return json.dumps(value, default=_as_text, **options)

    @staticmethod
    def loads(text: str) -> Any:
        return json.loads(text)


class Compact:
    """Functions with a signature of their own, as libraries in other languages have them."""

    @staticmethod
    def dumps(value: Any, separators: Any = None) -> str:
        return json.dumps(value, default=_as_text, separators=(",", ":"), sort_keys=True)

    @staticmethod
    def loads(text: str) -> Any:
        return json.loads(text, parse_float=Decimal)


def _as_text(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no text")


@pytest.fixture(params=[WithDates, Compact])
def module(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A JSON module; python-socketio has one for the whole process, which is put back."""
    packet_class: Any = sio_packet.Packet
    before = packet_class.json
    yield request.param
    packet_class.json = before


PAYLOADS: dict[str, tuple[Any, Any]] = {
    "datetime": ({"at": AT, "more": [AT]}, {"at": AT.isoformat(), "more": [AT.isoformat()]}),
    "naive datetime": (AT.replace(tzinfo=None), "2026-11-22T12:30:00"),
    "date": ({"on": AT.date()}, {"on": "2026-11-22"}),
    "decimal": ({"sum": Decimal("1.10")}, {"sum": "1.10"}),
    "number": ([1.5, 2], [1.5, 2]),
    "beside binary": (
        {"at": AT, "naive": AT.replace(tzinfo=None), "sum": [Decimal("1.10")], "blob": b"\x00"},
        {"at": AT.isoformat(), "naive": "2026-11-22T12:30:00", "sum": ["1.10"], "blob": b"\x00"},
    ),
}


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_a_client_gets_what_the_module_makes_of_a_value(world: World, module: Any, kind: str) -> None:
    sent, expected = PAYLOADS[kind]
    server = world.server(server_options={"json": module})
    client = await world.connected(server)
    await server.sio.emit("live", sent)
    await settle()
    client.cut()
    await settle()
    await server.sio.emit("missed", sent)
    await world.connect(client, server)
    assert client.outcomes == ["fresh", "recovered"]
    assert (client.got("live"), client.got("missed")) == ([expected], [expected])


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_a_write_only_manager_has_its_module_too(world: World, module: Any, kind: str) -> None:
    sent, expected = PAYLOADS[kind]
    client = await world.connected(world.server(server_options={"json": module}))
    manager = AsyncRecoveryManager(HeldStore(world.state), write_only=True, json=module)
    await manager.emit("news", sent)
    await settle()
    assert client.got("news") == [expected]
    await manager.close()
