"""The application under test: an unmodified `socketio.AsyncServer`, its handlers, and a log of their calls.

It runs inside a server process (`tests.e2e.host`), which may hold several such applications under different
paths. What a handler does is a script that the test sets beforehand (`Behaviour`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import socketio
from socketio.exceptions import ConnectionRefusedError as ConnectionRefusedBySocketIO

from tests.e2e.actions import perform
from tests.e2e.steps import Step
from tests.e2e.wire import Json, encode

__all__ = ["App", "AppSpec", "Behaviour"]

NAMESPACES = ("/", "/chat")
CLASS_NAMESPACE = "/klass"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """How to build an application.

    Attributes:
        name: first segment of its path; ``/<name>/socket.io`` is what clients ask for.
        recovery: arguments of `AsyncRecoveryManager`, or None for a stock server.
        server: further arguments of `socketio.AsyncServer`.
        connect_takes_auth: whether connect handlers have three arguments or two.
        identify_by: key of the client's auth that the setting ``identity`` reads; None leaves it unset.
        offsets_for_all: whether the setting ``wants_offsets`` says yes to every client.
        notes_expiry: whether it has a handler ``session_expired``.
    """

    name: str
    recovery: Mapping[str, Any] | None = None
    server: Mapping[str, Any] = field(default_factory=dict)
    connect_takes_auth: bool = True
    identify_by: str | None = None
    offsets_for_all: bool = False
    notes_expiry: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a handler does: a script, and how it ends.

    Attributes:
        steps: carried out in order; a failing one fails the handler.
        then: "accept", "false" (return False), "refuse" (raise `socketio`'s ConnectionRefusedError with
            data), "refuse-builtin", "raise" or "type-error".
    """

    steps: Sequence[Step] = ()
    then: str = "accept"


class App:
    """One application. You must call `close` at the end."""

    def __init__(self, spec: AppSpec) -> None:
        self.spec = spec
        self.log: list[Json] = []
        self.log_changed = asyncio.Condition()
        self.behaviours: dict[tuple[str, str], Behaviour] = {}
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.collected: defaultdict[str, list[Json]] = defaultdict(list)
        self.failures: defaultdict[str, list[Json]] = defaultdict(list)
        self.floods: dict[str, tuple[asyncio.Event, asyncio.Task[int]]] = {}
        options: dict[str, Any] = {
            "cors_allowed_origins": "*",
            "namespaces": ["/quiet", *NAMESPACES],
            **spec.server,
        }
        self.sio: Any = socketio.AsyncServer(
            async_mode="asgi", client_manager=_build_manager(spec, self), **options
        )
        self.asgi = socketio.ASGIApp(self.sio, socketio_path=f"{spec.name}/socket.io")
        for namespace in NAMESPACES:
            self._register(namespace)
        self.sio.register_namespace(_klass(self)(CLASS_NAMESPACE))

    async def close(self) -> None:
        """End the application as its owner would: handlers, floods, manager, server."""
        for event in self.gates.values():
            event.set()
        for stop, task in self.floods.values():
            stop.set()
            await task
        if hasattr(self.sio.manager, "close"):
            await self.sio.manager.close()
        await self.sio.shutdown()

    async def note(self, handler: str, namespace: str, sid: str, **details: Json) -> None:
        """Append a line to the log and wake whoever waits for it."""
        async with self.log_changed:
            record = {"handler": handler, "namespace": namespace, "sid": sid, **encode(details)}
            self.log.append(record)
            self.log_changed.notify_all()

    async def on_connect(self, namespace: str, sid: str, environ: Mapping[str, Any], *auth: Json) -> Any:
        """The connect handler of every namespace."""
        await self.note(
            "connect",
            namespace,
            sid,
            auth=auth[0] if auth else None,
            environ_recovery=environ.get("socketio.recovery"),
            recovery=self.recovery(sid, namespace),
            rooms=self.sio.rooms(sid, namespace=namespace),
            session=await self.sio.get_session(sid, namespace=namespace),
        )
        result = await self._behave("connect", namespace, sid)
        await self.note("connect-done", namespace, sid)
        return result

    async def on_disconnect(self, namespace: str, sid: str, reason: str) -> None:
        """The disconnect handler of every namespace."""
        await self.note("disconnect", namespace, sid, reason=reason)
        await self._behave("disconnect", namespace, sid)
        await self.note("disconnect-done", namespace, sid)

    async def on_event(self, namespace: str, event: str, sid: str, *args: Json) -> Any:
        """The handler of every event; it answers with the event's own arguments."""
        await self.note("event", namespace, sid, event=event, args=list(args))
        await self._behave(event, namespace, sid)
        return args

    async def on_expired(self, session: Any) -> None:
        """The handler ``session_expired``."""
        await self.note(
            "session-expired",
            session.namespace,
            session.sid,
            rooms=list(session.rooms),
            data=dict(session.data),
            offline_for=session.offline_for,
        )
        await self._behave("session-expired", session.namespace, session.sid)

    def recovery(self, sid: str, namespace: str) -> Json:
        """What the application learns about a connection; None on a stock server."""
        ask = getattr(self.sio.manager, "recovery", None)
        return None if ask is None else ask(sid, namespace)

    def _register(self, namespace: str) -> None:
        async def connect(sid: str, environ: Mapping[str, Any], auth: Json) -> Any:
            return await self.on_connect(namespace, sid, environ, auth)

        async def connect_without_auth(sid: str, environ: Mapping[str, Any]) -> Any:
            return await self.on_connect(namespace, sid, environ)

        async def disconnect(sid: str, reason: str) -> None:
            await self.on_disconnect(namespace, sid, reason)

        async def anything(event: str, sid: str, *args: Json) -> Any:
            return await self.on_event(namespace, event, sid, *args)

        handler = connect if self.spec.connect_takes_auth else connect_without_auth
        self.sio.on("connect", handler, namespace=namespace)
        self.sio.on("disconnect", disconnect, namespace=namespace)
        self.sio.on("*", anything, namespace=namespace)

    async def _behave(self, handler: str, namespace: str, sid: str) -> Any:
        behaviour = self.behaviours.get((namespace, handler), Behaviour())
        await perform(self, behaviour.steps, sid=sid)
        match behaviour.then:
            case "false":
                return False
            case "refuse":
                raise ConnectionRefusedBySocketIO("go away", {"code": 403})
            case "refuse-builtin":
                raise ConnectionRefusedError
            case "raise":
                raise RuntimeError("the handler failed, as the test wanted")
            case "type-error":
                raise TypeError("the handler failed with a TypeError, as the test wanted")
            case _:
                return None


def _build_manager(spec: AppSpec, app: App) -> Any:
    if spec.recovery is None:
        return None
    from adapter import AsyncRecoveryManager  # noqa: PLC0415 - a stock server must not need it

    options = dict(spec.recovery)
    if spec.identify_by is not None:
        options["identity"] = _identify_by(spec.identify_by)
    if spec.offsets_for_all:
        options["wants_offsets"] = _say_yes
    if spec.notes_expiry:
        options["session_expired"] = app.on_expired
    return AsyncRecoveryManager(**options)


def _say_yes(environ: Mapping[str, Any]) -> bool:
    return True


def _identify_by(key: str) -> Any:
    def identity(environ: Mapping[str, Any], auth: Json) -> str:
        return str(auth.get(key, "")) if isinstance(auth, dict) else ""

    return identity


def _klass(app: App) -> Any:
    class Klass(socketio.AsyncNamespace):
        async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Json) -> Any:
            return await app.on_connect(CLASS_NAMESPACE, sid, environ, auth)

        async def on_disconnect(self, sid: str, reason: str) -> None:
            await app.on_disconnect(CLASS_NAMESPACE, sid, reason)

        async def on_say(self, sid: str, *args: Json) -> Any:
            return await app.on_event(CLASS_NAMESPACE, "say", sid, *args)

    return Klass
