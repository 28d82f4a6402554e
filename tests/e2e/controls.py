"""What a test asks of a server process, in whatever colour: ``POST /control`` with ``{"do": ..., ...}``."""

import gc
import logging
import time
import traceback
from abc import ABC, abstractmethod
from typing import Any

from tests.e2e import actions
from tests.e2e.apps import App, AppSpec, Behaviour
from tests.e2e.colours import Colour
from tests.e2e.wire import Json, encode

__all__ = ["Controls", "ErrorCollector"]

_true_time = time.time


class ErrorCollector(logging.Handler):
    """Keeps what was logged as an error, by whomever, and what Python could not raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, with its traceback."""
        self.errors.append(self.format(record))

    def unraisable(self, event: Any) -> None:
        """Keep an exception of a destructor or of a coroutine that was never awaited."""
        self.errors.append(f"unraisable: {event.exc_value!r} in {event.object!r} ({event.err_msg})")


class Controls(ABC):
    """The applications of one process, and what a test may do with them.

    Attributes:
        apps: by name, the first segment of their paths.
        fronts: what answers the requests for them.
    """

    def __init__(self, colour: Colour, collector: ErrorCollector) -> None:
        self.apps: dict[str, App] = {}
        self.fronts: dict[str, Any] = {}
        self._colour = colour
        self._collector = collector

    @abstractmethod
    def front(self, app: App) -> Any:
        """Return what a web server of this colour runs."""

    @abstractmethod
    def writers(self) -> int:
        """Return how many tasks or threads send to WebSockets."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Return what is left of closed applications."""

    async def answer(self, request: dict[str, Json]) -> dict[str, Json]:
        """Carry out one command; what it returned, or the error that it raised."""
        try:
            command = getattr(self, f"do_{request.pop('do')}")
            return {"ok": encode(await command(**request))}
        except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
            return {"error": _describe(error)}

    async def do_open(self, spec: dict[str, Json]) -> None:
        """Build an application."""
        app = App(AppSpec(**spec), self._colour)
        self.apps[app.spec.name] = app
        self.fronts[app.spec.name] = self.front(app)

    async def do_close(self, app: str) -> None:
        """Close an application and forget it."""
        closing = self.apps[app]
        await closing.close()
        del self.apps[app], self.fronts[app]

    async def do_run(self, app: str, steps: list[Json]) -> list[Json]:
        """Carry out steps in one task."""
        return await actions.perform(self.apps[app], steps)

    async def do_behave(self, app: str, namespace: str, handler: str, steps: list[Json], then: str) -> None:
        """Set what a handler does from now on."""
        self.apps[app].behaviours[namespace, handler] = Behaviour(steps, then)

    async def do_failures(self, app: str, tag: str) -> list[Json]:
        """Return what a sturdy flood could not emit: pairs of number and whether it may be stored."""
        return self.apps[app].failures[tag]

    async def do_open_gate(self, app: str, name: str) -> None:
        """Let whoever waits at the gate pass, now and later."""
        self.apps[app].gates[name].set()

    async def do_log(self, app: str, after: int, seconds: float) -> list[Json]:
        """Return the log from line `after` on; wait until there is such a line."""
        return await self.apps[app].log.after(after, seconds)

    async def do_collected(self, app: str, name: str) -> list[Json]:
        """Return the arguments of each call of the callback `name`."""
        return self.apps[app].collected[name]

    async def do_residue(self, app: str) -> dict[str, Json]:
        """Return what the application still holds of clients."""
        return actions.residue(self.apps[app])

    async def do_writers(self) -> int:
        """Return how many tasks or threads send to WebSockets: one for each that is open, if none hangs."""
        return self.writers()

    async def do_sockets(self) -> int:
        """Return how many Engine.IO sockets are in memory, open or not."""
        return actions.kept_sockets()

    async def do_flood(self, app: str, **options: Any) -> None:
        """Start to emit numbered packets."""
        actions.start_flood(self.apps[app], **options)

    async def do_stop_flood(self, app: str, tag: str) -> int:
        """Stop emitting; return how many were emitted."""
        return await actions.stop_flood(self.apps[app], tag)

    async def do_shift_clock(self, seconds: float) -> None:
        """Let the wall clock of this process be off by so much from now on: it jumps."""
        time.time = lambda: _true_time() + seconds

    async def do_errors(self) -> list[str]:
        """Return and forget the errors that were logged, and the tasks or threads that nobody ended."""
        gc.collect()
        errors = [*self._collector.errors]
        if not self.apps:
            errors += [f"left behind: {what}" for what in self.leftovers()]
        self._collector.errors.clear()
        return errors


def _describe(error: Exception) -> dict[str, Json]:
    kind = error.kind if isinstance(error, actions.StepError) else type(error).__name__
    bases = error.bases if isinstance(error, actions.StepError) else []
    details = error.details if isinstance(error, actions.StepError) else {}
    trace = "".join(traceback.format_exception(error))
    return {"kind": kind, "bases": bases, "details": encode(details), "text": str(error), "trace": trace}
