"""One server process of the demo: a stock ``socketio.AsyncServer`` under uvicorn, with recovery.

It takes its orders on standard input and reports on standard output (`adapter.demo.records`), and ends
when its input does, so it never outlives the demo, however that ends.
"""

import argparse
import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import socketio
import uvicorn

from adapter.demo.records import (
    EVERYONE,
    Emit,
    Failed,
    Finished,
    Line,
    Listening,
    Packet,
    Sent,
    Start,
    Stop,
    Welcomed,
    read_line,
    write_line,
)
from adapter.demo.traffic import Traffic, Turn

__all__ = ["EVENT", "WINDOW", "Emitter", "main", "welcome"]

EVENT = "packet"
WINDOW = 60.0
"""Seconds for which a client may be away; no client of the demo stays away so long."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo tells a server on its command line.

    Attributes:
        stock: run python-socketio as it comes, to see what is lost without recovery.
        stream, prefix: the manager's ``stream_name`` and ``session_key_prefix``.
    """

    url: str
    port: int
    name: str
    seed: str
    stream: str
    prefix: str
    stock: bool


def main() -> None:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m adapter.demo.server")
    parser.add_argument("--url", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="A")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--stream", default="socket.io:demo")
    parser.add_argument("--prefix", default="socket.io:demo:session:")
    parser.add_argument("--stock", action="store_true")
    asyncio.run(_serve(Options(**vars(parser.parse_args()))))


async def _serve(options: Options) -> None:
    manager = _manager(options)
    sio = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=manager,
        ping_interval=2,  # so that a demo of a few seconds sees PINGs, and silent clients are found out
        ping_timeout=2,
    )
    welcome(sio, say)
    config = uvicorn.Config(
        socketio.ASGIApp(sio), log_level="warning", ws_per_message_deflate=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    emitter = Emitter(sio, options.name, options.seed, say)

    def obey(line: Line | None) -> None:
        match line:
            case None:
                server.should_exit = True
            case Start():
                emitter.start(line)
            case Stop():
                emitter.stop()
            case _:
                raise ValueError(f"{line} is no order for a server")

    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; with it, what
    # follows CONNECT would wait 40 ms for the client's delayed acknowledgement.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", options.port))
        listener.listen()
        _listen_to_orders(obey)
        say(Listening(listener.getsockname()[1]))
        await server.serve(sockets=[listener])
    if not options.stock:
        await manager.close()


def _manager(options: Options) -> Any:
    """Return the one argument that makes the difference; untyped, as python-socketio is."""
    if options.stock:
        return socketio.AsyncRedisManager(options.url, channel=options.stream)
    from adapter import AsyncRecoveryManager  # noqa: PLC0415 - the stock server is to run without it

    return AsyncRecoveryManager(
        options.url,
        max_disconnection_duration=WINDOW,
        stream_name=options.stream,
        session_key_prefix=options.prefix,
    )


def say(line: Line) -> None:
    """Report to the demo; if that is gone, the end of standard input will say so."""
    with contextlib.suppress(BrokenPipeError):
        print(write_line(line), end="", flush=True)


def _listen_to_orders(obey: Callable[[Line | None], None]) -> None:
    """Call `obey` in the running loop with each order, and with None at the end of standard input.

    A thread, because not every platform's loop reads pipes. It reads unbuffered, because a buffer's
    lock held by a daemon thread would end the interpreter with a fatal error.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        with open(0, "rb", buffering=0, closefd=False) as orders, contextlib.suppress(RuntimeError):
            for order in orders:
                loop.call_soon_threadsafe(obey, read_line(order.decode()))
            loop.call_soon_threadsafe(obey, None)

    threading.Thread(target=listen, name="orders", daemon=True).start()


def welcome(sio: Any, report: Callable[[Line], None]) -> None:
    """Give a server the connect handler of the demo: rooms and user session for who is new, a check else.

    Args:
        sio: an ``AsyncServer``; untyped, as python-socketio is.
        report: called with a `Welcomed` for every connection.
    """

    async def connect(sid: str, environ: Mapping[str, Any], auth: Mapping[str, Any]) -> None:
        recovery = environ.get("socketio.recovery")
        problem = None
        if recovery is not None and recovery.recovered:
            problem = await _problem(sio, sid, auth)
        else:
            await sio.save_session(sid, {"client": auth["client"]})
            for room in auth["rooms"]:
                await sio.enter_room(sid, room)
        recovered = recovery is not None and recovery.recovered
        reason = None if recovery is None or recovery.reason is None else str(recovery.reason)
        report(Welcomed(auth["client"], sid, recovered=recovered, reason=reason, problem=problem))

    sio.on("connect", connect)


async def _problem(sio: Any, sid: str, auth: Mapping[str, Any]) -> str | None:
    """Tell what a recovered session lacks, or None."""
    session = await sio.get_session(sid)
    if session != {"client": auth["client"]}:
        return f"the user session of {auth['client']} is {session!r}"
    rooms = set(sio.rooms(sid)) - {sid}
    if rooms != set(auth["rooms"]):
        return f"{auth['client']} is in the rooms {sorted(rooms)}, expected {sorted(auth['rooms'])}"
    return None


@dataclass(slots=True)
class Emitter:
    """Emits numbered packets from `start` to `stop`, and reports each when its emit has returned.

    Attributes:
        sio: an ``AsyncServer``.
        name: of this server, for its packets.
        seed: of the traffic.
        report: called with `Sent` for each packet, in the end with `Finished` or `Failed`.
    """

    sio: Any  # python-socketio is untyped
    name: str
    seed: str
    report: Callable[[Line], None]
    _number: int = 0
    _sids: dict[str, str] = field(default_factory=dict[str, str])
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def start(self, order: Start) -> None:
        """Start the traffic; call it once, in a running loop."""
        self._sids = dict(order.sids)
        random = Random(f"{self.seed}/{self.name}")
        traffic = Traffic(random, clients=tuple(order.sids), rooms=order.rooms)
        self._task = asyncio.create_task(self._run(traffic))

    def stop(self) -> None:
        """End the traffic after the turn that is under way."""
        self._stopping.set()

    async def _run(self, traffic: Traffic) -> None:
        error = None
        while error is None:
            turn = traffic.next_turn()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), turn.pause)
                break
            error = await self._take(turn)
        self.report(Finished() if error is None else Failed(f"{type(error).__name__}: {error}"))

    async def _take(self, turn: Turn) -> BaseException | None:
        """Emit the packets of one turn together, report those stored, and return an error if one failed."""
        packets = [self._next_packet(emit) for emit in turn.emits]
        outcomes = await asyncio.gather(*map(self._emit, packets), return_exceptions=True)
        for packet, outcome in zip(packets, outcomes, strict=True):
            if outcome is None:
                self.report(Sent(packet))
        return next((outcome for outcome in outcomes if outcome is not None), None)

    def _next_packet(self, emit: Emit) -> Packet:
        self._number += 1
        return Packet(self.name, self._number, emit.to, emit.but, time.time())

    async def _emit(self, packet: Packet) -> None:
        await self.sio.emit(
            EVENT,
            asdict(packet),
            to=None if packet.to == (EVERYONE,) else [self._sids.get(to, to) for to in packet.to],
            skip_sid=None if packet.but is None else self._sids[packet.but],
        )


if __name__ == "__main__":
    main()
