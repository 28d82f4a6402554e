"""Tasks that are cancelled wherever they wait: a web server does so when it stops, or a request times out."""

import asyncio
from typing import Any

import pytest

from adapter.gate import Gate
from tests.interleavings.harness import Server, World, settle


class _Canceller:
    """Cancels the task that runs a method of the gate, after it has waited a number of times."""

    def __init__(self, server: Server, method: str, after: int) -> None:
        self.finished_first = False
        self._after = after
        gate = server.manager._gate
        assert isinstance(gate, Gate), "a server has a gate"
        attribute = {"connect": "_handle_connect", "closed": "_handle_eio_disconnect"}[method]
        self._run = getattr(server.sio, attribute)
        self._done = False
        setattr(server.sio, attribute, self._watched)
        if method == "closed":
            server.sio.eio.on("disconnect", self._watched)

    async def _watched(self, *args: Any) -> None:
        if self._done:
            await self._run(*args)
            return
        self._done = True
        task = asyncio.ensure_future(self._run(*args))
        for _ in range(self._after):
            await asyncio.sleep(0)
        self.finished_first = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(16))
@pytest.mark.parametrize("always_connect", [False, True])
@pytest.mark.parametrize("which", ["new", "recovered", "moved"])
async def test_a_connect_that_is_cancelled(
    world: World, which: str, always_connect: bool, turns: int
) -> None:
    world.expects_errors = True
    options = {"always_connect": always_connect}
    server, other = world.server(server_options=options), world.server(server_options=options)

    async def connect(sid: str, _environ: Any, _auth: Any = None) -> None:
        await server.sio.enter_room(sid, "room")
        for _ in range(3):
            await asyncio.sleep(0)

    server.sio.on("connect", connect)
    client = world.client()
    if which != "new":
        await world.connect(client, other if which == "moved" else server)
        await server.sio.emit("n", 1)
        await settle()
        if which == "recovered":
            client.cut()
            await settle()
    _Canceller(server, "connect", turns)
    world.dial(client, server)
    await server.sio.emit("n", 2)
    await settle()
    client.cut()
    await settle()
    assert server.residue() == {}
    assert not len(server.runtime.positions)
    await server.sio.emit("n", 3)
    await world.connect(client, server)
    await settle()
    if client.outcomes[-1] == "recovered" and which != "new":
        assert client.got("n") == [1, 2, 3]


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_close_that_is_cancelled(world: World, turns: int) -> None:
    """Else the sid would stay taken, and its client could never come back."""
    world.expects_errors = True
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await settle()
    _Canceller(server, "closed", turns)
    client.cut()
    await settle()
    await server.sio.emit("n", 2)
    world.dial(client, server)
    await settle()
    assert client.is_connected
    assert client.got("n") == [1, 2]
    client.cut()
    await settle()
    residue = server.residue()
    residue.pop("sockets", None)  # engineio's own: its `close` was cancelled, too
    assert residue == {}
