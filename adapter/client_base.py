"""What `adapter.async_client` and `adapter.client` share: what a stock client of python-socketio lacks.

All but three of the names that this stands on (`adapter.client_seams`) are public: the attributes
``packet_class``, ``namespaces`` and ``connection_namespaces`` of a client, and of its ``eio`` the methods
``connect``, ``start_background_task`` and ``on``, and the attribute ``handlers``. Run on python-socketio
5.18.1 and 5.13.0.

The way of a packet: Engine.IO's reading task starts a background task with the message handler and the data
of a packet. Here that start is caught, and the packet is read and taken over (`adapter.client_state`) on the
spot, so that nothing overtakes anything. Whoever runs the line of its namespace gives it, as `Decoded`, to
the message handler of the stock client, which finds the application's handler and acknowledges.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from socketio import exceptions
from socketio import packet as sio_packet

from adapter.client_packets import PacketReader, recovering
from adapter.client_seams import abort_reconnection, surround_handlers
from adapter.client_state import Arrival, ClientRecovery, ClientState, Job, Line, Session
from recovery.errors import ConfigurationError

__all__ = ["FLUSH_SECONDS", "READER_SECONDS", "RecoveringClient", "running"]

logger = logging.getLogger("recovery.client")

_STATE_VERSION = 1
_ENDS = {"disconnect", "connect_error", "__disconnect_final"}  # they come from within python-socketio
_JOIN_SECONDS = 10.0  # a server may wait for another one, `takeover_timeout`, before it lets a client in

FLUSH_SECONDS = 1.0
"""How long a client that disconnects waits for its last words to be sent.

python-socketio (5.18.1) closes a WebSocket at once, before its writer had a turn, so that the server never
hears of a DISCONNECT, and keeps the session.
"""

READER_SECONDS = 5.0
"""How long a new transport waits for the reading task of the last one to end.

Its last acts (python-engineio 4.15.1) are to empty the queue, and to put a word into it that ends the writer;
they would hit the new transport, which uses the same client.
"""

running: ContextVar[Line | None] = ContextVar("running", default=None)
"""The line whose handler this code is part of."""


class RecoveringClient:
    """Mixed into a client of python-socketio, before it.

    A subclass has the methods that wait; those without a body here are its own.
    """

    eio: Any
    namespaces: dict[str, Any]
    connection_namespaces: list[str]
    sid: str | None
    packet_class: Any
    reconnection: bool
    connected: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recovery = ClientState(self.packet_class)
        self.packet_class = recovering(self.packet_class, self._recovery.complete)
        self._recovery_reader = PacketReader(self.packet_class)
        self._recovery_patience = _JOIN_SECONDS
        self._recovery_watchers: set[Any] = set()
        self._retrying = False  # the first connection is being made, and `retry` was given
        self._stock_message = self.eio.handlers["message"]
        self._stock_disconnect = self.eio.handlers["disconnect"]
        self._stock_start: Callable[..., Any] = self.eio.start_background_task
        self._stock_open: Callable[..., Any] = self.eio.connect
        self.eio.on("message", self._message)
        self.eio.on("disconnect", self._disconnected)
        self.eio.start_background_task = self._start
        self.eio.connect = self._open
        surround_handlers(self, self._around_handler)

    # What applications call ----------------------------------------------------------------------------

    def recovery(self, namespace: str | None = None) -> ClientRecovery:
        """Tell how the connection to a namespace began: recovered or not, and if the server said so, why.

        It holds from the connect handler on, until the next one.

        Example::

            @sio.event
            async def connect():
                if not sio.recovery().recovered:
                    await load_everything()
        """
        return self._recovery.recovery(namespace or "/")

    def recovered(self, namespace: str | None = None) -> bool:
        """Tell whether the session of before goes on, so that nothing was missed; see `recovery`."""
        return self.recovery(namespace).recovered

    def export_state(self) -> dict[str, Any]:
        """Return what another process needs to go on where the handlers of this one are.

        It is made of dicts, strings, numbers, booleans and None, and survives JSON. It holds secrets: whoever
        has it can take the sessions over. A packet counts as handled when its handler begins.

        Example::

            state = await sio.suspend()
            path.write_text(json.dumps(state))
        """
        sessions = {
            name: {"pid": session.pid, "offset": session.offset, "exact": session.exact}
            for name, session in self._recovery.sessions().items()
        }
        return {"version": _STATE_VERSION, "namespaces": sessions}

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the client was that exported a state; call this before the first `connect`.

        Raises:
            ConfigurationError: this is no such state, or the client is connected.
        """
        if not self._recovery.closed:
            raise ConfigurationError("the client is connected: import a state before connect()")
        self._recovery.restore(_read_state(state))

    # Packets -------------------------------------------------------------------------------------------

    def _message(self, data: Any) -> Any:
        raise NotImplementedError

    def _disconnected(self, *reason: str) -> Any:
        raise NotImplementedError

    def _start(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _open(self, url: str, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _spawn_line(self, line: Line) -> None:
        raise NotImplementedError

    def _spawn_now(self, packet: Any) -> None:
        raise NotImplementedError

    def _in_handler(self) -> bool:
        raise NotImplementedError

    def _opening(self) -> None:
        """A transport is about to be opened."""
        self._recovery_reader.reset()
        self.eio.queue = self.eio.create_queue()  # the old one counts packets that were never sent
        self._recovery.open(self.connection_namespaces)

    def _closing(self) -> None:
        """The transport has gone."""
        self._recovery.close()
        self._notify()

    def _receive(self, data: Any) -> None:
        """Take over what the transport brought; it must come in order, and nothing here waits."""
        try:
            packet = self._recovery_reader.read(data)
            arrival = Arrival.NOTHING if packet is None else self._recovery.arrive(packet)
        except Exception:
            logger.exception("a packet cannot be read", extra={"event": "packet.unreadable"})
            return
        if packet is None:
            return
        namespace = packet.namespace or "/"
        if packet.packet_type == sio_packet.CONNECT and self._recovery.is_joined(namespace):
            sid = (packet.data or {}).get("sid", self.sid)
            self.namespaces = {**self.namespaces, namespace: sid}  # others may be reading the old one
            self.connected = True  # `connect` of python-socketio says so late, and a DISCONNECT may be next
            self._notify()
        if arrival is Arrival.RUN_LINE:
            self._spawn_line(self._recovery.line(namespace))
        elif arrival is Arrival.RUN_NOW:
            self._spawn_now(packet)

    def _next_job(self, line: Line) -> Job | None:
        """The next job of a line; whoever waits for the one before is told."""
        job = self._recovery.next_job(line.namespace)
        self._notify()
        return job

    def _after_now(self, packet: Any) -> None:
        """What did not wait in line is done."""
        if packet.packet_type == sio_packet.CONNECT_ERROR:
            self._recovery.note_refusal(packet.namespace or "/")
            self._notify()

    def _guarding(self, packet: Any) -> AbstractContextManager[None]:
        """A handler that raises must not keep those after it from running."""
        return _logging_errors(packet.data[0] if packet.packet_type == sio_packet.EVENT else "an answer")

    def _around_handler(self, event: str) -> AbstractContextManager[None]:
        """Nor, if it is told of the end of a connection, python-socketio from making the next one."""
        return _logging_errors(event) if event in _ENDS else nullcontext()

    @contextmanager
    def _calling(self) -> Generator[None]:
        """Let go ahead what the server asks, while a handler waits for its answer."""
        line = running.get()
        if line is None or not line.busy:
            yield
            return
        for job in self._recovery.begin_call(line):
            self._spawn_now(job.packet)
        try:
            yield
        finally:
            self._recovery.end_call(line)

    def _expect_answer(self) -> "_Answer":
        return _Answer(self._recovery.connection, self._notify)

    def _is_answered(self, answer: "_Answer") -> bool:
        """Whether an answer has come.

        Raises:
            TimeoutError: none can, any more. A server sends it by the connection that the question came by.
        """
        broken = self._recovery.closed or self._recovery.connection != answer.connection
        if broken and not answer.came:
            raise exceptions.TimeoutError("the connection broke before the answer came")
        return answer.came

    def _farewell(self) -> list[Any]:
        """What is sent to leave all namespaces for good."""
        if self.eio.state != "connected":
            return []
        return [
            self.packet_class(sio_packet.DISCONNECT, namespace=namespace).encode()
            for namespace in self.namespaces
        ]

    # Connecting ----------------------------------------------------------------------------------------

    @contextmanager
    def _watching(self) -> Generator[Any]:
        """Give an event that is set whenever something happens that `_verdict` depends on."""
        event = self.eio.create_event()
        self._recovery_watchers.add(event)
        try:
            yield event
        finally:
            self._recovery_watchers.discard(event)

    def _notify(self) -> None:
        for event in list(self._recovery_watchers):
            event.set()

    def _patience(self, given: float | None) -> float:
        """Seconds to wait for CONNECT; those of the last explicit `connect` hold for reconnections."""
        if given is not None:
            self._recovery_patience = given
        return time.monotonic() + self._recovery_patience

    @contextmanager
    def _trying(self, *, once_more: bool, retry: bool) -> Generator[None]:
        """Open a transport within this; with `retry`, further attempts are made inside of the first one."""
        self._retrying = self._retrying or retry
        try:
            yield
        finally:
            self._retrying = once_more and self._retrying
        self._check_transport()

    def _check_transport(self) -> None:
        """Take back what `connect` of python-socketio says last if the transport broke before it said so.

        A client that takes itself for connected never reconnects.
        """
        if self._recovery.closed:
            self.connected, self.namespaces = False, {}

    def _check_wanted(self) -> None:
        """End the reconnection before another attempt if the application has told the client to be gone.

        That may have happened while it was started, or in the middle of its last attempt.
        """
        if not self._recovery.wanted:
            abort_reconnection(self)
            raise exceptions.ConnectionError("the client was disconnected meanwhile")

    def _is_joined(self, *, once_more: bool) -> bool:
        """Whether there is nothing to wait for any more.

        Args:
            once_more: this is an attempt of the reconnection, which another one follows.

        Raises:
            ConnectionError: it has come to nothing.
        """
        refused = self._recovery.refused()
        if refused:
            raise exceptions.ConnectionError(
                "One or more namespaces failed to connect: " + ", ".join(refused)
            )
        greeted = not once_more and not self._in_handler()  # nobody waits for the reconnection's
        if not self._recovery.missing(greeted=greeted):
            return True
        wanted, closed = self._recovery.wanted, self._recovery.closed
        if (closed and not (wanted and self.reconnection)) or (once_more and (closed or not wanted)):
            raise exceptions.ConnectionError("the connection was closed before all namespaces were connected")
        return False

    def _out_of_patience(self) -> None:
        """Time is up: connect handlers may run on, but every namespace must have answered."""
        missing = self._recovery.missing(greeted=False)
        if missing or self._recovery.closed:
            raise exceptions.ConnectionError(
                f"no answer within {self._recovery_patience} s from: {', '.join(missing) or 'the server'}"
            )


class _Answer:
    """What a server answers.

    Attributes:
        connection: number of the one that it comes by.
        came: whether it has.
        value: None without arguments, the only one, or a tuple of all.
    """

    def __init__(self, connection: int, notify: Callable[[], None]) -> None:
        self.connection = connection
        self.came = False
        self.value: Any = None
        self._notify = notify

    def take(self, *args: Any) -> None:
        """The callback of the question."""
        self.value = args if len(args) > 1 else args[0] if args else None
        self.came = True
        self._notify()


@contextmanager
def _logging_errors(event: str) -> Generator[None]:
    try:
        yield
    except Exception:
        logger.exception("the handler of %r failed", event, extra={"event": "handler.failed"})


def _read_state(state: object) -> dict[str, Session]:
    if not isinstance(state, Mapping) or state.get("version") != _STATE_VERSION:
        raise ConfigurationError(
            f"expected a state of version {_STATE_VERSION}, as export_state() returns it"
        )
    namespaces = state.get("namespaces")
    if not isinstance(namespaces, Mapping):
        raise ConfigurationError(f"the state's namespaces are {type(namespaces).__name__}, expected a dict")
    return {name: _read_session(name, fields) for name, fields in namespaces.items()}


def _read_session(name: object, fields: object) -> Session:
    if not isinstance(name, str) or not name.startswith("/"):
        raise ConfigurationError(f"{name!r} is no namespace: expected a text that begins with a slash")
    if not isinstance(fields, Mapping) or set(fields) != {"pid", "offset", "exact"}:
        raise ConfigurationError(f"the state of {name!r} has to consist of pid, offset and exact")
    pid, offset, exact = fields["pid"], fields["offset"], fields["exact"]
    if not isinstance(pid, str) or not pid:
        raise ConfigurationError(f"the pid of {name!r} is {type(pid).__name__}, expected a text")
    if offset is not None and not isinstance(offset, str):
        raise ConfigurationError(
            f"the offset of {name!r} is {type(offset).__name__}, expected a text or None"
        )
    if not isinstance(exact, bool):
        raise ConfigurationError(f"exact of {name!r} is {type(exact).__name__}, expected a boolean")
    return Session(pid, offset, exact)
