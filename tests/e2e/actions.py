"""What a server process can be asked to do: the far end of `tests.e2e.steps` and of the controls."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from engineio.async_socket import AsyncSocket
from engineio.socket import Socket

from recovery.errors import PublishError
from tests.e2e.colours import Colour, Event
from tests.e2e.payloads import close_while_polled
from tests.e2e.steps import Step
from tests.e2e.wire import Json, decode, encode

if TYPE_CHECKING:
    from tests.e2e.apps import App

__all__ = [
    "StepError",
    "kept_sockets",
    "leftover_tasks",
    "perform",
    "residue",
    "start_flood",
    "stop_flood",
    "writers",
]


class StepError(Exception):
    """A step raised; the test sees the name of the error's type and its text.

    Attributes:
        kind: name of the type.
        bases: names of all its base classes.
        details: public attributes of the error.
    """

    def __init__(self, step: Step, error: BaseException) -> None:
        super().__init__(f"{step.get('method', step['do'])}: {type(error).__name__}: {error}")
        self.kind = type(error).__name__
        self.bases = [base.__name__ for base in type(error).__mro__]
        self.details = {name: value for name, value in vars(error).items() if not name.startswith("_")}


async def perform(app: "App", steps: Sequence[Step], *, sid: str | None = None) -> list[Json]:
    """Carry out steps in order, in the calling task; return their results.

    Raises:
        StepError: a step failed; the later ones were not carried out.
    """
    results: list[Json] = []
    for step in steps:
        try:
            results.append(await _perform_one(app, step, sid))
        except Exception as error:
            raise StepError(step, error) from error
    return results


async def _perform_one(app: "App", step: Step, sid: str | None) -> Json:
    match step["do"]:
        case "method":
            return await _call_method(app, step, sid)
        case "edit_session":
            who = _fill_in(app, step["sid"], sid)
            async with app.colour.session(app.sio, who, step["namespace"]) as session:
                session.update(decode(step["changes"]))
            return None
        case "gate":
            await app.note("gate", step["name"], sid or "")
            await app.gates[step["name"]].wait()
            return None
        case "tell_recovery":
            record = encode(app.recovery(sid or "", "/"))
            await app.colour.finished(app.sio.emit("recovery", record, to=sid, ignore_queue=True))
            return None
        case "counters":
            return dict(app.sio.manager.counters)
        case "recovery":
            return app.recovery(_fill_in(app, step["sid"], sid), step["namespace"])
        case "close_while_polled":
            return await close_while_polled(app, step)
        case unknown:
            raise ValueError(f"unknown step {unknown!r}")


async def _call_method(app: "App", step: Step, sid: str | None) -> Json:
    owner = {
        "server": app.sio,
        "manager": app.sio.manager,
        "namespace": app.sio.namespace_handlers.get(step.get("namespace")),
    }[step["target"]]
    args = [_fill_in(app, argument, sid) for argument in step["args"]]
    options = {name: _fill_in(app, value, sid) for name, value in step["options"].items()}
    result = getattr(owner, step["method"])(*args, **options)
    return await app.colour.finished(result)


def _fill_in(app: "App", value: Json, sid: str | None) -> Any:
    """Put the handler's sid, a callback or an object that cannot be encoded in place of its stand-in."""
    if isinstance(value, dict):
        if "$sid" in value:
            return sid
        if "$callback" in value:
            return _collector(app, value["$callback"])
        if "$unencodable" in value:
            return {"it": object()}
    return decode(value)


def _collector(app: "App", name: str) -> Any:
    def callback(*args: Json) -> None:
        app.collected[name].append(list(args))

    return callback


def residue(app: "App") -> dict[str, Json]:
    """Return what the server still holds of clients; every value is empty when all are gone.

    A room that outlives its clients, or an environ, is a leak.
    """
    manager = app.sio.manager
    connecting = getattr(manager, "pending_connect", {})  # stock managers have it since python-socketio 5.18
    return {
        "rooms": {
            namespace: {str(room): sorted(map(str, sids)) for room, sids in rooms.items()}
            for namespace, rooms in manager.rooms.items()
        },
        "environ": list(app.sio.environ),
        "pending_connect": {name: list(sids) for name, sids in connecting.items() if sids},
        "pending_disconnect": {name: list(sids) for name, sids in manager.pending_disconnect.items() if sids},
        "callbacks": [str(sid) for sid in manager.callbacks],
        "binary_packets": list(app.sio._binary_packet),  # private, but nothing else shows this leak
    }


def kept_sockets() -> int:
    """Return how many Engine.IO sockets are in the memory of this process, open or not."""
    gc.collect()
    return sum(isinstance(thing, AsyncSocket | Socket) for thing in gc.get_objects())


def writers() -> int:
    """Return how many tasks of python-engineio send to WebSockets."""
    return sum(
        "_websocket_handler.<locals>.writer" in getattr(task.get_coro(), "__qualname__", "")
        for task in asyncio.all_tasks()
    )


def leftover_tasks() -> list[str]:
    """Return the tasks of the library that still run after every manager was closed."""
    gc.collect()
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if not task.done() and _is_ours(getattr(task.get_coro(), "__qualname__", ""), repr(task.get_coro()))
    ]


def _is_ours(*names: str) -> bool:
    return any(word in name for name in names for word in ("recovery", "adapter", "Recovery"))


def start_flood(
    app: "App",
    tag: str,
    *,
    batch: int,
    event: str,
    interval: float,
    options: dict[str, Json],
    sturdy: bool = False,
) -> None:
    """Emit ``(tag, 1)``, ``(tag, 2)``, ... until `stop_flood`, `batch` emits at a time.

    A sturdy flood notes in ``app.failures`` what was not confirmed, and goes on; another one ends.
    """
    stop = app.colour.event()

    async def emit(number: int) -> None:
        try:
            await app.colour.finished(app.sio.emit(event, (tag, number), **options))
        except PublishError as error:
            if not sturdy:
                raise
            app.failures[tag].append([number, error.maybe_stored])

    app.floods[tag] = (stop, app.colour.start(partial(_flood, app.colour, emit, stop, batch, interval)))


async def stop_flood(app: "App", tag: str) -> int:
    """End a flood; return how many packets were emitted, all of them confirmed unless it is a sturdy one."""
    stop, work = app.floods.pop(tag)
    stop.set()
    emitted: int = await work.result()
    return emitted


async def _flood(
    colour: Colour,
    emit: Callable[[int], Coroutine[Any, Any, None]],
    stop: Event,
    batch: int,
    interval: float,
) -> int:
    emitted = 0
    while not stop.is_set():
        numbers = range(emitted + 1, emitted + 1 + batch)
        await colour.gather([emit(number) for number in numbers])
        emitted += batch
        await colour.sleep(interval)
    return emitted
