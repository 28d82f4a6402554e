"""Checkpoints: what is saved of clients that are connected, when, and in how many round trips."""

import time

from adapter.clients import TURNS
from recovery.commands import Read, SaveSession
from recovery.errors import StoreUnavailableError
from recovery.records import Pid
from recovery.settings import Settings
from tests.interleavings.client import Client
from tests.interleavings.clock import Clock
from tests.interleavings.harness import Server, World, settle

_INTERVAL = 15.0
_PINGS = (25.0, 20.0)  # python-engineio's defaults
_SETTINGS = Settings(checkpoint_interval=_INTERVAL)


async def _a_round(clock: Clock) -> None:
    """Let one checkpoint interval pass, with the turns of all clients."""
    for _ in range(TURNS):
        clock.advance(_INTERVAL / TURNS)
        await settle()


def _life_left(world: World, client: Client) -> float:
    """Seconds until a session expires."""
    return world.state._claims[Pid(client.pid)].deadline / 1000 - time.time()


async def _saves_in_rounds(server: Server, clock: Clock, rounds: int) -> list[int]:
    saves = []
    for _ in range(rounds):
        before = server.store.performed["SaveSession"]
        await _a_round(clock)
        saves.append(server.store.performed["SaveSession"] - before)
    return saves


async def test_a_client_of_which_nothing_is_new_is_written_every_fourth_time(
    world: World, clock: Clock
) -> None:
    server = world.server(checkpoint_interval=_INTERVAL)
    await world.connected(server)
    saves = await _saves_in_rounds(server, clock, 13)
    assert [number for number, count in enumerate(saves) if count] == [4, 8, 12]


async def test_its_session_outlives_every_absence_that_is_short_enough(world: World, clock: Clock) -> None:
    """Its server may be killed at any moment, the moment before its session is written among them."""
    server = world.server(checkpoint_interval=_INTERVAL)
    client = await world.connected(server)
    lives = []
    for _ in range(8 * TURNS):
        lives.append(_life_left(world, client))
        clock.advance(_INTERVAL / TURNS)
        await settle()
    assert min(lives) >= _SETTINGS.retention_ms(*_PINGS) / 1000 - _INTERVAL
    assert max(lives) <= _SETTINGS.session_ms(*_PINGS) / 1000


async def test_what_a_client_has_proven_is_saved_within_the_interval(world: World, clock: Clock) -> None:
    server = world.server(checkpoint_interval=_INTERVAL)
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    await server.ping(client)
    await settle()
    await _a_round(clock)
    assert world.state._claims[Pid(client.pid)].saved.proven == server.runtime.dispatcher.position


async def test_a_checkpoint_that_failed_is_made_up_for_by_the_next_one(world: World, clock: Clock) -> None:
    server = world.server(checkpoint_interval=_INTERVAL, publish_timeout=0.5)
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    await server.ping(client)
    await settle()
    away = server.store.fail(SaveSession)
    await _a_round(clock)
    away.clear()
    await _a_round(clock)
    await _a_round(clock)
    assert world.state._claims[Pid(client.pid)].saved.proven == server.runtime.dispatcher.position


async def test_all_are_written_anew_when_the_store_was_away(world: World, clock: Clock) -> None:
    """It may have been a failover, which lost what the old primary had confirmed."""
    server = world.server(checkpoint_interval=_INTERVAL)
    client = await world.connected(server)
    away = server.store.fail(Read, StoreUnavailableError("the store is away", maybe_applied=False))
    await server.sio.emit("n", 1)  # ends the read that is under way
    clock.advance(1.0)
    await settle()
    world.state.lose_sessions()
    away.clear()
    clock.advance(1.0)
    await settle()
    await _a_round(clock)
    assert Pid(client.pid) in world.state._claims


async def test_clients_have_their_turns_one_part_after_the_other(world: World, clock: Clock) -> None:
    server = world.server(checkpoint_interval=_INTERVAL)
    for _ in range(2 * TURNS):
        await world.connected(server)
    saves = []
    for _ in range(5 * TURNS):
        before = server.store.performed["SaveSession"]
        clock.advance(_INTERVAL / TURNS)
        await settle()
        saves.append(server.store.performed["SaveSession"] - before)
    assert sum(saves) == 2 * TURNS
    assert max(saves) == 2


async def test_what_is_due_together_travels_together(world: World, clock: Clock) -> None:
    server = world.server(checkpoint_interval=_INTERVAL)
    for _ in range(3 * TURNS):
        await world.connected(server)
    trips: list[int] = []
    execute_many = server.store.execute_many

    async def counted(commands: list[SaveSession]) -> object:
        trips.append(len(commands))
        return await execute_many(commands)

    server.store.execute_many = counted  # type: ignore[assignment, method-assign]  # the harness has no hook
    await _saves_in_rounds(server, clock, 5)
    assert trips == [3] * TURNS


async def test_one_that_cannot_be_saved_leaves_the_others_alone(world: World, clock: Clock) -> None:
    server = world.server(checkpoint_interval=_INTERVAL, max_session_bytes=2000)
    clients = [await world.connected(server) for _ in range(2 * TURNS)]
    odd = server.clients.find("/", clients[0].sid)
    assert odd is not None
    odd.connection.user_session = {"large": "x" * 3000}
    odd.connection.changes += 1  # as if a save of it had failed
    world.state.lose_sessions()
    await _saves_in_rounds(server, clock, 5)
    assert set(world.state._claims) == {Pid(client.pid) for client in clients[1:]}
