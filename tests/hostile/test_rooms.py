"""Rooms that a client names: whatever an application passes on works or raises what is documented."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recovery.errors import EncodingError
from tests.hostile.errors import collected_errors
from tests.hostile.frames import PAYLOADS
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, open_world, settle

_VICTIM = "the sid of another client"
_ROOMS = st.one_of(
    PAYLOADS,
    st.sampled_from(
        [_VICTIM, "", "\x00", "a" * 10**5, "\ud800", 2**63, 2**64, -(2**63) - 1, True, None, 1.5]
    ),
    st.lists(st.sampled_from([_VICTIM, "red", None, (), b""]), max_size=3),
)
_ACTS = st.sampled_from(["enter", "leave", "close", "say"])
_STORIES = st.lists(st.tuples(_ACTS, _ROOMS, st.integers(0, 1)), min_size=1, max_size=8)


async def _act(server: Server, client: Client, act: str, room: Any) -> None:
    """What a careless handler does with what its client sent."""
    match act:
        case "enter":
            await server.sio.enter_room(client.sid, room)
        case "leave":
            await server.sio.leave_room(client.sid, room)
        case "close":
            await server.sio.close_room(room)
        case _:
            await server.sio.emit("said", "something", room=room)


async def _play(story: list[tuple[str, Any, int]]) -> None:
    with collected_errors() as errors:
        async with open_world() as world:
            servers = [world.server(), world.server()]
            client, victim = await world.connected(servers[0]), await world.connected(servers[0])
            for act, room, where in story:
                with contextlib.suppress(EncodingError, ValueError):
                    await _act(servers[where], client, act, victim.sid if room == _VICTIM else room)
            await settle()
            await _is_well(world, servers, client, victim)
        assert errors.of_ours() == []


async def _is_well(world: World, servers: list[Server], client: Client, victim: Client) -> None:
    """Everybody is served as before, and the client recovers, on the other server."""
    await servers[1].sio.emit("n", 1)
    await settle()
    client.cut()
    await settle()
    await servers[0].sio.emit("n", 2)
    await servers[1].sio.emit("n", 3, to=victim.sid)
    await world.connect(client, servers[1])
    await settle()
    assert client.outcomes == ["fresh", "recovered"]
    assert client.got("n")[:2] == [1, 2]
    assert victim.got("n") == [1, 2, 3]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_STORIES)
@example([("enter", _VICTIM, 1), ("close", _VICTIM, 1), ("leave", _VICTIM, 1)])
@example([("say", [[]], 0), ("say", {"a": 1}, 1), ("say", [], 0), ("enter", [], 0), ("close", {}, 1)])
def test_no_room_that_a_client_names_disturbs_anybody(story: list[tuple[str, Any, int]]) -> None:
    asyncio.run(_play(story))


@pytest.mark.parametrize("room", [True, 1.5, b"red", ("red",), 2**64, -(2**63) - 1, "\ud800", frozenset()])
@pytest.mark.parametrize("where", [0, 1], ids=["its server", "another server"])
async def test_what_cannot_be_a_room_is_refused_and_nothing_has_changed(
    world: World, where: int, room: Any
) -> None:
    servers = [world.server(), world.server()]
    client = await world.connected(servers[0])
    for act in ("enter", "leave", "close"):
        with pytest.raises(EncodingError, match="room"):
            await _act(servers[where], client, act, room)
    assert servers[0].sio.rooms(client.sid) == [client.sid]
