"""Real ``socket.io-client`` sockets under test control: what they are told to do and what they saw.

All sockets live in one Node process. Everything that a socket's handlers see is kept in `JsClient.history`
in the order in which it happened; waits look at that history, so that nothing can be missed by waiting too
late, and they are bounded.
"""

import asyncio
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tests.e2e.node_process import NodeProcess
from tests.e2e.wire import Json, decode

__all__ = ["Connected", "Disconnected", "Drop", "JsClient", "JsClients", "Received", "Refused", "Upgraded"]

WAIT_SECONDS = 5.0
_OFFSET = re.compile(r"[0-9]+-[0-9]+")

Drop = Literal["close", "abrupt", "silent"]
"""Ways to lose a connection; ``node/drops.js`` says what each does."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket's ``connect`` event, with what the client then knew."""

    sid: str
    recovered: bool
    pid: str | None
    last_offset: str | None
    transport: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The socket's ``disconnect`` event; `response` is the text of an HTTP response that caused it."""

    reason: str
    response: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The socket's ``connect_error`` event."""

    message: str
    data: Json


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The connection moved to another transport."""

    transport: str


@dataclass(frozen=True, slots=True)
class Received:
    """An event as a handler got it; `args` without the offset, `raw` with it."""

    event: str
    raw: tuple[Json, ...]

    @property
    def offset(self) -> str | None:
        """The last argument, if it looks like an offset."""
        last = self.raw[-1] if self.raw else None
        return last if isinstance(last, str) and _OFFSET.fullmatch(last) else None

    @property
    def args(self) -> tuple[Json, ...]:
        """What the application sent."""
        return self.raw if self.offset is None else self.raw[:-1]


Happening = Connected | Disconnected | Refused | Upgraded | Received
H = TypeVar("H", Connected, Disconnected, Refused, Upgraded, Received)


class JsClient:
    """One socket of the real JavaScript client in one namespace."""

    def __init__(self, owner: "JsClients", name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self.history: list[Happening] = []
        self._owner = owner
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<JsClient {self.name}>"

    @property
    def last(self) -> Connected:
        """The latest successful connect."""
        return self.all(Connected)[-1]

    @property
    def sid(self) -> str:
        """Its id as of the latest connect."""
        return self.last.sid

    @property
    def pid(self) -> str:
        """Its private id as of the latest connect; the server must have given one."""
        assert self.last.pid is not None, f"{self.name} got no pid from the server"
        return self.last.pid

    def all(self, kind: type[H]) -> list[H]:
        """Return everything of one kind, in order."""
        return [item for item in self.history if isinstance(item, kind)]

    def received(self, event: str | None = None) -> list[Received]:
        """Return the events so far, in order, but those that `Cluster.settle` sent."""
        return [
            item
            for item in self.all(Received)
            if event == item.event or (event is None and item.event != "settle")
        ]

    def payloads(self, event: str | None = None) -> list[Json]:
        """Return the events' payloads: the only argument, or a tuple of all."""
        return [item.args[0] if len(item.args) == 1 else item.args for item in self.received(event)]

    async def until(self, predicate: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
        """Wait until something is true of the history.

        Raises:
            AssertionError: it did not become true in time; the message shows the history.
        """
        try:
            async with asyncio.timeout(seconds):
                while not predicate():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            shown = "\n  ".join(map(repr, self.history[-30:]))
            raise AssertionError(f"{self.name} waited {seconds} s for {what}; it saw:\n  {shown}") from None

    async def next(self, kind: type[H], *, after: int = 0, seconds: float = WAIT_SECONDS) -> H:
        """Wait for the first happening of one kind at or after index `after` of the history."""

        def found() -> list[H]:
            return [item for item in self.history[after:] if isinstance(item, kind)]

        await self.until(lambda: bool(found()), kind.__name__, seconds=seconds)
        return found()[0]

    async def events(
        self, count: int, event: str | None = None, *, seconds: float = WAIT_SECONDS
    ) -> list[Json]:
        """Wait for `count` events; return all payloads that there are then."""
        await self.until(
            lambda: len(self.received(event)) >= count, f"{count} x {event or 'any event'}", seconds=seconds
        )
        return self.payloads(event)

    async def until_payload(self, event: str, payload: Json, *, seconds: float = WAIT_SECONDS) -> None:
        """Wait for an event with just this payload."""
        what = f"{event} with {payload!r}"
        await self.until(lambda: payload in self.payloads(event), what, seconds=seconds)

    async def wait_connected(self, *, after: int = 0, seconds: float = WAIT_SECONDS) -> Connected:
        """Wait for a connect; a refusal instead is a failure."""
        outcome = await self.wait_answer(after=after, seconds=seconds)
        assert isinstance(outcome, Connected), f"{self.name} was not let in: {outcome}"
        return outcome

    async def wait_answer(self, *, after: int = 0, seconds: float = WAIT_SECONDS) -> Connected | Refused:
        """Wait until the server accepts or refuses the socket."""

        def answers() -> list[Connected | Refused]:
            return [item for item in self.history[after:] if isinstance(item, Connected | Refused)]

        await self.until(lambda: bool(answers()), "an answer to its CONNECT", seconds=seconds)
        return answers()[0]

    async def drop(self, how: Drop = "close") -> Disconnected:
        """Lose the connection, and stay away until `reconnect`."""
        mark = len(self.history)
        await self._ask("drop", how=how)
        return await self.next(Disconnected, after=mark)

    async def lose(self, how: Drop) -> None:
        """Lose the connection, if there is one; what comes of it is the client's own affair."""
        await self._ask("lose", how=how)

    async def bounce(self, url: str | None = None, how: Drop = "close") -> Connected:
        """Lose the connection and connect again at once, in the same turn of the client's event loop."""
        mark = len(self.history)
        await self._ask("drop", how=how, back=True, url=url)
        await self.next(Disconnected, after=mark)
        return await self.wait_connected(after=mark)

    async def reconnect(self, url: str | None = None, *, seconds: float = WAIT_SECONDS) -> Connected:
        """Connect again, to another server if a URL is given; a refusal is a failure."""
        mark = len(self.history)
        await self.start_reconnect(url)
        return await self.wait_connected(after=mark, seconds=seconds)

    async def try_reconnect(self, url: str | None = None) -> Connected | Refused:
        """Connect again and return what the server said."""
        mark = len(self.history)
        await self.start_reconnect(url)
        return await self.wait_answer(after=mark)

    async def start_reconnect(self, url: str | None = None) -> None:
        """Connect again without waiting for the outcome."""
        await self._ask("reconnect", url=url)

    async def give_up(self) -> None:
        """Break off the TCP connection of an attempt to connect, however far that has come."""
        await self._ask("giveUp")

    async def stall(self, *, on: bool = True) -> None:
        """Stop reading from the WebSocket's TCP connection, or go on; nobody is told."""
        await self._ask("stall", on=on)

    async def disconnect(self) -> None:
        """Leave for good: a DISCONNECT packet, then the transport closes if nobody else uses it."""
        mark = len(self.history)
        await self._ask("disconnect")
        await self.next(Disconnected, after=mark)

    async def emit(self, event: str, *args: Json) -> None:
        """Send an event to the server."""
        await self._ask("emit", event=event, args=list(args))

    async def call(self, event: str, *args: Json) -> tuple[Json, ...]:
        """Send an event and return the server's acknowledgement."""
        answer = await self._ask("emit", event=event, args=list(args), ack=True, timeout=WAIT_SECONDS * 1000)
        return tuple(answer)

    async def set_auth(self, auth: Json) -> None:
        """Set what the next CONNECT carries."""
        await self._ask("auth", auth=auth)

    async def set_ack(self, policy: Literal["echo", "never"] | Sequence[Json]) -> None:
        """Choose how it answers events that ask for an acknowledgement."""
        await self._ask("ack", policy=policy if isinstance(policy, str) else list(policy))

    async def pose(self, **identity: Json) -> None:
        """Change the `pid` and `offset` that the next CONNECT carries; None takes them away."""
        await self._ask("pose", **identity)

    async def follow(self, urls: Sequence[str], *, delay: float = 0.0) -> None:
        """Go to the next of these servers `delay` seconds after each loss of the connection; none: stay."""
        failover = {"urls": list(urls), "delay": 1000 * delay} if urls else None
        await self._ask("follow", failover=failover)

    async def kept_count(self) -> int:
        """Return how many events `kept` would return."""
        count: int = await self._ask("keptCount")
        return count

    async def kept(self) -> list[tuple[Json, ...]]:
        """Return the arguments of the events named in the option ``keep``, in order."""
        return [tuple(args) for args in await self._ask("kept", seconds=30.0)]

    async def state(self) -> dict[str, Json]:
        """Return what the socket knows now: connected, sid, pid, lastOffset, transport."""
        state: dict[str, Json] = await self._ask("state")
        return state

    async def dispose(self) -> None:
        """Close everything that this client still holds open; it must not be used afterwards."""
        await self._owner.forget(self)

    def note(self, message: dict[str, Json]) -> None:
        """Take one report of the Node process (for `JsClients`)."""
        self.history.append(_happening(message))
        self._changed.set()

    async def _ask(self, do: str, **fields: Any) -> Json:
        return await self._owner.ask(do, id=self.name, **fields)


def _happening(message: dict[str, Json]) -> Happening:
    match message["t"]:
        case "connect":
            return Connected(
                sid=message["sid"],
                recovered=message["recovered"],
                pid=message["pid"],
                last_offset=message["lastOffset"],
                transport=message["transport"],
            )
        case "disconnect":
            return Disconnected(message["reason"], message.get("response"))
        case "connect_error":
            return Refused(message["message"], decode(message["data"]))
        case "upgrade":
            return Upgraded(message["transport"])
        case "event":
            return Received(message["event"], tuple(decode(message["args"])))
        case other:
            raise AssertionError(f"unknown report {other!r}")


class JsClients:
    """The Node process and its sockets. You must call `start` first and `stop` at the end."""

    def __init__(self) -> None:
        self._node = NodeProcess("clients.js", on_report=self._report)
        self._clients: dict[str, JsClient] = {}
        self._names = itertools.count(1)

    async def start(self) -> None:
        """Start Node."""
        await self._node.start()

    async def stop(self) -> None:
        """Stop Node."""
        await self._node.stop()

    async def open(
        self,
        url: str,
        namespace: str = "/",
        *,
        name: str | None = None,
        share: JsClient | None = None,
        **options: Json,
    ) -> JsClient:
        """Create a socket, which starts to connect.

        Args:
            url: scheme, host and port of the server.
            namespace: what the socket asks for.
            name: shown in failures; numbered if absent.
            share: a client whose connection this one uses, too.
            **options: of ``node/client.js``: path, auth, transports, upgrade, reconnection (and its delays in
                ms), parser, keep, ack, pid, offset, compress,
                timeout, failover.
        """
        client = JsClient(self, name or f"client-{next(self._names)}", namespace)
        self._clients[client.name] = client
        await self.ask(
            "connect",
            id=client.name,
            options={"url": url, "nsp": namespace, **options},
            share=share.name if share else None,
        )
        return client

    async def ask(self, do: str, *, seconds: float = 2 * WAIT_SECONDS, **fields: Any) -> Json:
        """Send a command to the Node process."""
        return await self._node.ask(do, seconds=seconds, **fields)

    async def forget(self, client: JsClient) -> None:
        """Dispose of a client (for `JsClient.dispose`)."""
        if self._clients.pop(client.name, None) is not None:
            await self.ask("dispose", id=client.name)

    def _report(self, message: dict[str, Json]) -> None:
        client = self._clients.get(message["id"])
        if client is not None:
            client.note(message)
