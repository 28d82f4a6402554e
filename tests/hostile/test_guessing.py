"""Guessing pids: a transport that presents pids in vain gets no more of them looked up."""

import json
import logging
import secrets

import pytest

from adapter.guesses import MOST_GUESSES, Guesses
from recovery.core.decision import Presented
from recovery.reasons import Reason
from recovery.records import Pid
from recovery.stores.redis.protocol import exchange
from recovery.stores.redis.rounds import Script
from tests.contract.builders import PID, claim
from tests.contract.subject import KEYS
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle


def _namespaces(server: Server, number: int) -> list[str]:
    async def arrive(_sid: str, _environ: object, _auth: object = None) -> None:
        pass

    names = ["/", *(f"/{index}" for index in range(1, number))]
    for name in names:
        server.sio.on("connect", arrive, namespace=name)
    return names


async def _guess(client: Client, pid: str, **more: object) -> None:
    """Leave the namespace, and come back to it with a pid, on the same transport."""
    assert client.transport is not None
    client.disconnect()
    client.transport.send("40" + json.dumps({"pid": pid, **more}))
    await settle(40)


async def test_a_transport_that_guesses_gets_nothing_looked_up_any_more(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server()
    victim = await world.connected(server)
    victim.cut()
    await settle()
    thief = await world.connected(server)
    for _ in range(MOST_GUESSES):
        await _guess(thief, secrets.token_urlsafe(24))
    claims = server.store.performed["ClaimSession"]
    assert claims == MOST_GUESSES
    for _ in range(30):
        await _guess(thief, victim.pid)  # even a right one
    assert server.store.performed["ClaimSession"] == claims
    assert thief.is_connected, "it is served, as somebody new"
    assert server.manager.outcomes == {Reason.SESSION_UNKNOWN.value: MOST_GUESSES + 30}
    said = [record for record in caplog.records if getattr(record, "event", "") == "recover.guessing"]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert server.manager.counters == {"recover.guessing": 30}
    await world.connect(victim, server)
    assert victim.outcomes == ["fresh", "recovered"]


async def test_a_pid_that_there_was_is_no_guess(world: World) -> None:
    """A client that was disconnected, and whose own reconnection goes wrong again and again."""
    server = world.server()
    client = await world.connected(server)
    old = client.pid
    for _ in range(MOST_GUESSES + 5):
        await _guess(client, old)
    assert server.manager.outcomes == {Reason.DISCONNECTED.value: MOST_GUESSES + 5}
    assert server.gate.guesses.refused == 0


async def test_one_transport_with_many_namespaces_recovers_in_all_of_them(world: World) -> None:
    server = world.server()
    names = _namespaces(server, 3 * MOST_GUESSES)
    client = world.client(*names)
    await world.connect(client, server)
    client.cut()
    await settle(200)
    await world.connect(client, server)
    assert {socket.outcomes[-1] for socket in client.sockets.values()} == {"recovered"}
    assert server.gate.guesses.refused == 0


async def test_after_a_restart_without_data_all_namespaces_are_fresh_and_served(world: World) -> None:
    server = world.server()
    names = _namespaces(server, 3 * MOST_GUESSES)
    client = world.client(*names)
    await world.connect(client, server)
    client.cut()
    await settle(200)
    world.state.lose_sessions()
    await world.connect(client, server)
    assert {socket.outcomes[-1] for socket in client.sockets.values()} == {"fresh"}
    await server.sio.emit("n", 1)
    await settle()
    assert client.got("n") == [1]
    client.cut()
    await settle(200)
    await world.connect(client, server)
    assert {socket.outcomes[-1] for socket in client.sockets.values()} == {"recovered"}


async def test_a_new_transport_begins_anew(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    for _ in range(MOST_GUESSES + 1):
        await _guess(client, secrets.token_urlsafe(24))
    assert server.gate.guesses.refused == 1
    client.cut()
    await settle()
    await world.connect(client, server)
    assert client.outcomes[-1] == "recovered"


def test_nothing_is_kept_of_a_transport_that_is_gone() -> None:
    class Transport:
        pass

    guesses, transport = Guesses(), Transport()
    guesses.admit(transport, Presented(Pid("p" * 32)))
    assert len(guesses._in_vain) == 1
    del transport
    assert len(guesses._in_vain) == 0


def test_a_pid_is_looked_up_as_the_name_of_keys_and_compared_with_nothing() -> None:
    """So the time that a refusal takes says nothing of how near a guess came."""
    request = next(exchange(claim(), KEYS))
    assert isinstance(request, Script)
    assert request.keys == (KEYS.session(PID), KEYS.claim(PID))
    assert not [argument for argument in request.args if PID in str(argument)]
