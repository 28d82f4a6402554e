"""Servers with a handler ``session_expired``, time that passes for them, and a witness of all calls."""

import asyncio
from typing import Any

from recovery.commands import Command
from recovery.records import ExpiredSession
from tests.interleavings.client import Client
from tests.interleavings.clock import Clock
from tests.interleavings.harness import Gate, Server, World, settle

__all__ = [
    "LEASE",
    "LIFE",
    "LOOKS",
    "PINGS",
    "SETTLES",
    "WINDOW",
    "Witness",
    "awake",
    "die",
    "expiring_server",
    "leave",
    "pass_time",
]

WINDOW = 10.0
LOOKS = 4.0  # seconds between two looks, at most
PINGS = 45.0
SETTLES = 5.0  # seconds before the first look
LIFE = WINDOW + LOOKS + PINGS + 3 * LOOKS  # of a session whose client was connected, from its last save on
LEASE = 30.0


class Witness:
    """What the handlers of all servers were called with.

    Attributes:
        calls: servers and sessions, in order.
        failures: how many calls will raise yet.
        pause: calls wait for it.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, ExpiredSession]] = []
        self.finished: list[str] = []
        self.failures = 0
        self.pause: asyncio.Event | None = None

    @property
    def sids(self) -> list[str]:
        """Sids of the sessions, in order."""
        return [session.sid for _, session in self.calls]

    def handler(self, name: str) -> Any:
        """The handler of one server."""

        async def session_expired(session: ExpiredSession) -> None:
            self.calls.append((name, session))
            if self.pause is not None:
                await self.pause.wait()
            if self.failures:
                self.failures -= 1
                raise RuntimeError("the application failed")
            self.finished.append(session.sid)

        return session_expired


def expiring_server(world: World, witness: Witness, name: str = "one", **options: Any) -> Server:
    return world.server(
        session_expired=witness.handler(name),
        max_disconnection_duration=WINDOW,
        checkpoint_interval=LOOKS,
        publish_timeout=1.0,
        takeover_timeout=0.5,
        **options,
    )


async def awake(server: Server) -> Server:
    """A server that has begun to look, without a client."""
    await server.sio.emit("awake")
    return server


async def pass_time(clock: Clock, seconds: float) -> None:
    """Let time pass, second by second, with whatever happens meanwhile."""
    whole, part = divmod(seconds, 1)
    for step in [1.0] * int(whole) + [part]:
        clock.advance(step)
        await settle()


async def leave(client: Client) -> str:
    """Lose a client's transport; its sid."""
    sid: str = client.sid
    client.cut()
    await settle()
    return sid


def die(server: Server, *clients: Client) -> Gate:
    """Let nothing of a server reach the store or its clients any more, as when its process is killed."""
    gate = server.store.hold(Command)
    for client in clients:
        if client.transport is not None:
            client.transport = None  # the server is not told, either
            client.cut()
    return gate
