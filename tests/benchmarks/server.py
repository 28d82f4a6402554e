"""An asyncio server or emitter under test: ours, or stock python-socketio, under uvicorn.

    python -m tests.benchmarks.server '{"kind": "ours", "url": "redis://..."}'

Prints ``{"port": ...}`` when it listens, takes commands as JSON lines, and ends with its standard input.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.options import RARE_GC, Options, collect_rarely, event_of, leave_out

OPTIONS = Options.read(sys.argv[1]) if len(sys.argv) > 1 else Options()
leave_out(OPTIONS.extras)

import socketio  # noqa: E402 - after it is decided what may be imported
import uvicorn  # noqa: E402 - as above

from adapter import AsyncRecoveryManager  # noqa: E402 - as above


def make_manager(options: Options) -> Any:
    """The client manager of a peer."""
    if options.kind == "ours":
        return AsyncRecoveryManager(
            options.url, write_only=options.writes_only, json=options.json_module(), **options.settings
        )
    if options.kind == "AsyncManager":
        return socketio.AsyncManager()
    return socketio.AsyncRedisManager(options.url, write_only=options.writes_only)


def make_server(manager: Any, options: Options) -> socketio.AsyncServer:
    """A server of which clients enter rooms and get session data, as many as the options say."""
    sio = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=manager,
        ping_interval=options.ping_interval,
        cors_allowed_origins="*",
        **({} if options.json_module() is None else {"json": options.json_module()}),
    )

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        for room in options.room_names():
            await sio.enter_room(sid, room)
        if options.data:
            await sio.save_session(sid, {"data": "x" * options.data})

    return sio


class Commands:
    """What the process is asked for."""

    def __init__(self, manager: Any, sio: socketio.AsyncServer | None) -> None:
        self._manager = manager
        self._sio = sio

    async def clients(self) -> int:
        """How many clients are connected."""
        assert self._sio is not None
        return sum(1 for _ in self._manager.get_participants("/", None)) if self._manager.rooms else 0

    async def broadcast(self, count: int, size: int) -> float:
        """Emit to everyone, one event after the other; return the seconds."""
        begin = time.perf_counter()
        for number in range(count):
            await self._manager.emit("e", event_of(number, size), namespace="/")
        return time.perf_counter() - begin

    async def flood(self, count: int, size: int, missed: int, rooms: int, in_flight: int = 64) -> float:
        """Emit many events, a few to everyone, the others to rooms in which nobody is."""
        begin = time.perf_counter()
        every = max(1, count // missed) if missed else 0
        left = asyncio.Semaphore(in_flight)

        async def emit(number: int) -> None:
            is_for_all = every and number % every == 0 and number // every < missed
            room = None if is_for_all else f"elsewhere-{number % rooms}"
            async with left:
                await self._manager.emit("e", event_of(number, size), namespace="/", room=room)

        for start in range(0, count, 1000):
            await asyncio.gather(*(emit(number) for number in range(start, min(count, start + 1000))))
        return time.perf_counter() - begin

    async def relay(self, count: int, size: int, in_flight: int, pause: float) -> float:
        """Emit to a room elsewhere, several at a time, each with its moment; return the seconds."""
        numbers = iter(range(count))
        begin = time.perf_counter()

        async def work() -> None:
            for number in numbers:
                await self._manager.emit(
                    "e", event_of(number, size, time.monotonic_ns()), namespace="/", room="relay"
                )
                if pause:
                    await asyncio.sleep(pause)

        await asyncio.gather(*(work() for _ in range(in_flight)))
        return time.perf_counter() - begin

    async def emits(self, count: int, size: int, in_flight: int) -> dict[str, float]:
        """Emit, several at a time; return the emits per second and the median latency in seconds."""
        numbers = iter(range(count))
        latencies: list[float] = []

        async def work() -> None:
            for number in numbers:
                since = time.perf_counter()
                await self._manager.emit("e", event_of(number, size), namespace="/")
                latencies.append(time.perf_counter() - since)

        begin = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - begin
        return {"rate": count / seconds, "latency": sorted(latencies)[count // 2]}


async def serve(options: Options) -> None:
    """Serve until told to stop."""
    manager = make_manager(options)
    sio = None if options.writes_only else make_server(manager, options)
    port = 0
    if sio is None:
        manager.initialize()
    else:
        port = await listen(sio, options)
    if RARE_GC in options.extras:
        collect_rarely()
    print(json.dumps({"port": port}), flush=True)  # noqa: T201 - the parent reads it
    commands = Commands(manager, sio)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        request = json.loads(line)
        print(json.dumps(await answer(getattr(commands, request.pop("do")), request)), flush=True)  # noqa: T201
    os._exit(0)  # nothing of this process is worth an orderly end


async def listen(sio: socketio.AsyncServer, options: Options) -> int:
    """Start uvicorn, and return its port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16384)
    http = "httptools" if "httptools" in options.extras else "h11"
    config = uvicorn.Config(
        socketio.ASGIApp(sio), log_level="error", http=http, backlog=16384, ws_ping_interval=None
    )
    server = uvicorn.Server(config)
    options.tasks.append(asyncio.create_task(server.serve(sockets=[listener])))
    while not server.started:
        await asyncio.sleep(0.01)
    port: int = listener.getsockname()[1]
    return port


async def answer(command: Callable[..., Awaitable[Any]], fields: dict[str, Any]) -> dict[str, Any]:
    """Carry out a command, and tell how it went."""
    try:
        return {"ok": await command(**fields)}
    except Exception as exc:  # noqa: BLE001 - the parent raises it
        return {"error": repr(exc)}


def main() -> None:
    """Run in the event loop that the options name."""
    if "uvloop" in OPTIONS.extras:
        import uvloop  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - an extra

        uvloop.run(serve(OPTIONS))
    else:
        asyncio.run(serve(OPTIONS))


if __name__ == "__main__":
    main()
