"""Every reason can be seen: in ``manager.outcomes``, and in the connect handler's ``environ``."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from recovery.commands import ClaimSession, Command
from recovery.errors import StoreUnavailableError
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Pid
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle, until
from tests.metrics.reading import value

_Spoil = Callable[[World, Server, Client], Awaitable[None]]


async def _unknown(_world: World, _server: Server, client: Client) -> None:
    client.sockets["/"].pid = "x" * 32


async def _expired(world: World, _server: Server, client: Client) -> None:
    world.state._claims[Pid(client.pid)].deadline = 0


async def _disconnected(_world: World, server: Server, client: Client) -> None:
    await server.sio.disconnect(client.sid)


async def _malformed(_world: World, _server: Server, client: Client) -> None:
    client.sockets["/"].offset = "not an offset"


async def _trimmed(world: World, server: Server, _client: Client) -> None:
    for number in range(10):
        await server.sio.emit("n", number)
    await settle()
    del world.state._stream.entries[:-2]
    server.runtime.dispatcher.log.reset(server.runtime.dispatcher.position)


async def _beyond(_world: World, server: Server, client: Client) -> None:
    client.sockets["/"].offset = str(Offset(server.runtime.dispatcher.position.ms + 10_000, 0))


async def _new_epoch(world: World, server: Server, _client: Client) -> None:
    world.state.delete_stream()
    await server.sio.emit("n", 0)
    await until(lambda: server.runtime.epoch == world.state._stream.epoch)
    await settle()


async def _other_namespace(_world: World, _server: Server, client: Client) -> None:
    client.sockets["/b"] = client.sockets.pop("/")
    client.sockets["/b"].namespace = "/b"


async def _other_user(_world: World, _server: Server, client: Client) -> None:
    client.sockets["/"].auth["user"] = "another"


async def _too_much(_world: World, server: Server, _client: Client) -> None:
    for number in range(10):
        await server.sio.emit("n", number)


async def _store_away(_world: World, server: Server, _client: Client) -> None:
    execute_many = server.store.execute_many

    async def failing(commands: Sequence[Command[Any]]) -> list[Any]:
        if any(isinstance(command, ClaimSession) for command in commands):
            return [StoreUnavailableError("it is away", maybe_applied=False) for _ in commands]
        return await execute_many(commands)

    server.store.execute_many = failing  # type: ignore[method-assign]  # that is the point


async def _refused(_world: World, server: Server, _client: Client) -> None:
    async def connect(_sid: str, environ: Any, _auth: Any = None) -> bool:
        return not environ["socketio.recovery"].recovered

    server.sio.on("connect", connect)


_SPOILS: dict[Reason, _Spoil] = {
    Reason.SESSION_UNKNOWN: _unknown,
    Reason.SESSION_EXPIRED: _expired,
    Reason.DISCONNECTED: _disconnected,
    Reason.MALFORMED: _malformed,
    Reason.OFFSET_TRIMMED: _trimmed,
    Reason.OFFSET_UNKNOWN: _beyond,
    Reason.EPOCH_CHANGED: _new_epoch,
    Reason.NAMESPACE_MISMATCH: _other_namespace,
    Reason.IDENTITY_MISMATCH: _other_user,
    Reason.REPLAY_TOO_LARGE: _too_much,
    Reason.STORE_UNAVAILABLE: _store_away,
    Reason.REFUSED: _refused,
}


def _user(_environ: Any, auth: Any) -> str:
    return str(auth["user"])


@pytest.mark.parametrize("reason", Reason)
async def test_a_reason_is_seen(world: World, reason: Reason) -> None:
    world.expects_errors = reason is Reason.EPOCH_CHANGED
    options: dict[str, Any] = {"max_replay": 5, "identity": _user, "server_options": {"namespaces": "*"}}
    server = world.server(publish_timeout=0.05, **options)
    seen: list[Any] = []

    async def connect(_sid: str, environ: Any, _auth: Any = None) -> None:
        seen.append(environ["socketio.recovery"].reason)

    client = await world.connected(server, user="u")
    await server.sio.emit("n", 0)
    await settle()
    client.cut()
    await settle()
    server.sio.on("connect", connect)
    server.sio.on("connect", connect, namespace="/b")
    await _SPOILS[reason](world, server, client)
    await settle()
    world.dial(client, server)
    await until(lambda: +Counter(server.manager.outcomes))
    await settle()
    counted = {outcome: times for outcome, times in server.manager.outcomes.items() if times}
    assert counted == {reason.value: 1}
    assert value(server.manager, "recoveries_total", outcome="refused", reason=reason.value) == 1
    assert client.got("n") == [0]
    if reason is not Reason.REFUSED:
        assert client.outcomes[-1] == "fresh"
        assert seen == [reason]
        assert client.sockets.popitem()[1].reasons[-1] == reason.value  # the client is told, too
