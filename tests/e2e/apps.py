"""The application under test: an unmodified python-socketio server, its handlers, and a log of their calls.

It runs inside a server process (`tests.e2e.host`), which may hold several such applications under different
paths. What a handler does is a script that the test sets beforehand (`Behaviour`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from socketio.exceptions import ConnectionRefusedError as ConnectionRefusedBySocketIO

from tests.e2e.actions import perform
from tests.e2e.colours import Colour, Event, Work
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
        recovery: arguments of the manager, or None for a stock server.
        server: further arguments of the server.
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

    def __init__(self, spec: AppSpec, colour: Colour) -> None:
        self.spec = spec
        self.colour = colour
        self.log = colour.journal()
        self.behaviours: dict[tuple[str, str], Behaviour] = {}
        self.gates: defaultdict[str, Event] = defaultdict(colour.event)
        self.collected: defaultdict[str, list[Json]] = defaultdict(list)
        self.failures: defaultdict[str, list[Json]] = defaultdict(list)
        self.floods: dict[str, tuple[Event, Work]] = {}
        options: dict[str, Any] = {
            "cors_allowed_origins": "*",
            "namespaces": ["/quiet", *NAMESPACES],
            **spec.server,
        }
        self.sio: Any = colour.server(_build_manager(spec, self), options)
        self.path = f"{spec.name}/socket.io"
        for namespace in NAMESPACES:
            self._register(namespace)
        self.sio.register_namespace(_klass(self)(CLASS_NAMESPACE))
        if spec.recovery is not None:
            self._register_server_events()

    async def close(self) -> None:
        """End the application as its owner would: handlers, floods, manager, server."""
        for event in self.gates.values():
            event.set()
        for stop, work in self.floods.values():
            stop.set()
            await work.result()
        if hasattr(self.sio.manager, "close"):
            await self.colour.finished(self.sio.manager.close())
        await self.colour.finished(self.sio.shutdown())

    async def note(self, handler: str, namespace: str, sid: str, **details: Json) -> None:
        """Append a line to the log and wake whoever waits for it."""
        await self.log.append({"handler": handler, "namespace": namespace, "sid": sid, **encode(details)})

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
            session=await self.colour.finished(self.sio.get_session(sid, namespace=namespace)),
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
        self.sio.on("connect", self.colour.handler(handler), namespace=namespace)
        self.sio.on("disconnect", self.colour.handler(disconnect), namespace=namespace)
        self.sio.on("*", self.colour.handler(anything), namespace=namespace)

    def _register_server_events(self) -> None:
        for namespace in NAMESPACES:

            async def ask(*args: Json, namespace: str = namespace) -> Any:
                await self.note("ask", namespace, "", args=list(args))
                await self._behave("ask", namespace, "")
                return {"from": "python", "args": list(args)}

            self.sio.manager.on_server_event("ask", self.colour.handler(ask), namespace=namespace)

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
    options = dict(spec.recovery)
    if spec.identify_by is not None:
        options["identity"] = _identify_by(spec.identify_by)
    if spec.offsets_for_all:
        options["wants_offsets"] = _say_yes
    if spec.notes_expiry:
        options["session_expired"] = app.colour.handler(app.on_expired)
    return app.colour.manager(options)


def _say_yes(environ: Mapping[str, Any]) -> bool:
    return True


def _identify_by(key: str) -> Any:
    def identity(environ: Mapping[str, Any], auth: Json) -> str:
        return str(auth.get(key, "")) if isinstance(auth, dict) else ""

    return identity


def _klass(app: App) -> Any:
    """A class-based namespace, with methods of the server's colour."""

    async def on_connect(sid: str, environ: Mapping[str, Any], auth: Json) -> Any:
        return await app.on_connect(CLASS_NAMESPACE, sid, environ, auth)

    async def on_disconnect(sid: str, reason: str) -> None:
        await app.on_disconnect(CLASS_NAMESPACE, sid, reason)

    async def on_say(sid: str, *args: Json) -> Any:
        return await app.on_event(CLASS_NAMESPACE, "say", sid, *args)

    handlers: dict[str, Any] = {"on_connect": on_connect, "on_disconnect": on_disconnect, "on_say": on_say}
    methods = {name: staticmethod(app.colour.handler(handler)) for name, handler in handlers.items()}
    return type("Klass", (app.colour.namespace_class,), methods)
