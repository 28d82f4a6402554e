"""What a recovering client knows, whatever its colour: sessions, offsets, and the packets that wait.

1. A packet is *taken over* when it arrives on a connection whose CONNECT has come. Its offset is presented
   from then on, and its handler runs, once, whatever becomes of the connection.
2. What comes before CONNECT (Node sends what was missed there) waits for it. If the connection breaks first,
   it was not taken over, and the server sends it again.
3. The handlers of a namespace run one after the other, in the order in which packets arrived, over all
   connections: those of the old one before the connect handler of the new one, that before the new packets.
4. A client is recovered if CONNECT brings the pid that it had. If it brings another, the offset is forgotten
   with its session. (JavaScript keeps it, and a Node server might then replay what this session never owed.)
5. What is exported is what handlers have been given, not what has arrived: nothing else outlives the process.
   So the end of a session is told to a connect handler before its pid is forgotten there. A server takes what
   was received before a PONG for handled; where more may have been received, `Session.exact` has it told,
   which is always but after `leave`.
6. Safe from any thread or signal handler. Nothing here waits, or runs a handler. No ``repr`` shows a pid.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from socketio import packet as sio_packet

from adapter.client_offsets import offset_of
from adapter.client_packets import connect_event

__all__ = ["Arrival", "ClientRecovery", "ClientState", "Job", "Line", "Session"]

logger = logging.getLogger("recovery.client")


@dataclass(frozen=True, slots=True)
class ClientRecovery:
    """How the current connection to a namespace began, as its connect handler finds it.

    Attributes:
        recovered: the session of before goes on: nothing was missed that will not come.
        reason: why not, in the words of `recovery.Reason`, if the server told; None if the client did not
            ask, and from servers that do not say (Node's).
    """

    recovered: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What opens a session again.

    Attributes:
        pid: a secret.
        offset: of the last packet; None before the first.
        exact: packets after it may have been received, and were lost with the process that had them.
    """

    pid: str = field(repr=False)
    offset: str | None = None
    exact: bool = False


class Arrival(Enum):
    """What is to be done about a packet that arrived."""

    NOTHING = "nothing"  # whoever runs the line comes to it, or it means nothing
    RUN_LINE = "run line"  # somebody must run the line of its namespace
    RUN_NOW = "run now"  # beside everything else: nothing waits in line behind it


@dataclass(frozen=True, slots=True)
class Job:
    """Something for a handler to do.

    Attributes:
        packet: an event, or DISCONNECT.
        connection: number of the connection that it came by.
        session: what the application knows of the session once this has been begun; None if nothing.
        greeting: for a connect handler: how the connection began.
    """

    packet: Any = field(repr=False)
    connection: int
    session: Session | None = None
    greeting: ClientRecovery | None = None

    @property
    def asks(self) -> bool:
        """Whether the server waits for an acknowledgement."""
        return self.packet.id is not None


@dataclass(slots=True, eq=False)
class Line:
    """One namespace.

    Attributes:
        session: what the next CONNECT presents.
        known: what the application knows, see law 5.
        recovery: what the last connect handler was told.
        joined, refused: CONNECT, or CONNECT_ERROR, has come by this connection.
        dismissed: DISCONNECT came behind CONNECT, and the connect handler has run.
        numbered: packets carry offsets, because there is a session, or because the server says so.
        greeted: the connect handler has run.
        busy: somebody runs the jobs.
        calls: how many `call()` the running handler waits for.
    """

    namespace: str
    session: Session | None = None
    known: Session | None = None
    recovery: ClientRecovery = field(default_factory=ClientRecovery)
    joined: bool = False
    refused: bool = False
    dismissed: bool = False
    numbered: bool = False
    greeted: bool = False
    busy: bool = False
    calls: int = 0
    early: list[Any] = field(default_factory=list[Any], repr=False)
    jobs: deque[Job] = field(default_factory=deque[Job])
    running: Job | None = None


class ClientState:
    """The namespaces of one client.

    Args:
        packet_class: of the client, for `connect_event`.
        clock: seconds since 1970.
    """

    def __init__(self, packet_class: Any, *, clock: Callable[[], float] = time.time) -> None:
        self._packet_class = packet_class
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may disconnect
        self._lines: dict[str, Line] = {}
        self._wanted: tuple[str, ...] = ()
        self._connection = 0
        self._warned = False
        self.closed = True  # there is no transport
        self.wanted = True  # the application has not told the client to be gone
        self.ended = False  # it has disconnected
        self.left = False  # nothing comes any more, and all that came was handled

    def __repr__(self) -> str:
        return f"<ClientState of {', '.join(self._lines) or 'no namespace'}>"

    @property
    def connection(self) -> int:
        """Number of the connection that there is, or was last."""
        return self._connection

    # A transport comes and goes --------------------------------------------------------------------------

    def begin(self) -> None:
        """The application connects."""
        with self._lock:
            self.wanted, self.ended, self.left = True, False, False

    def open(self, namespaces: Iterable[str]) -> None:
        """A transport is being opened, for these namespaces."""
        with self._lock:
            self._connection += 1
            self._wanted = tuple(namespaces)
            self.closed = False
            self._leave()
            for line in self._lines.values():
                line.dismissed = False

    def close(self) -> None:
        """The transport has gone."""
        with self._lock:
            self.closed = True
            self._leave()

    def end(self) -> None:
        """The application disconnects: the sessions end, and no further handler begins."""
        with self._lock:
            self.wanted, self.ended = False, True
            for line in self._lines.values():
                line.session = line.known = None
                line.jobs.clear()
                line.early.clear()

    def unwant(self) -> None:
        """The client is to be gone, and not to come back by itself; its sessions go on."""
        with self._lock:
            self.wanted = False

    def leave(self) -> None:
        """It has gone, and its handlers have run."""
        with self._lock:
            self.left = not self.wanted

    def missing(self, *, greeted: bool) -> list[str]:
        """The namespaces that are not joined yet, or whose connect handler has yet to run, if that counts."""
        with self._lock:
            lines = [line for name in self._wanted if not (line := self._line(name)).dismissed]
            return [line.namespace for line in lines if not (line.greeted if greeted else line.joined)]

    def refused(self) -> list[str]:
        """The namespaces that this connection was refused, after their connect_error handlers."""
        with self._lock:
            return [name for name in self._wanted if self._line(name).refused]

    def note_refusal(self, namespace: str) -> None:
        """CONNECT_ERROR has come, and its handler has run."""
        with self._lock:
            self._line(namespace).refused = True

    # Packets ---------------------------------------------------------------------------------------------

    def complete(self, namespace: str, auth: Any) -> Any:
        """The data of a CONNECT: what the application sends, and what the session needs."""
        with self._lock:
            session = self._line(namespace).session
            if session is None:
                return auth
            if auth is not None and not isinstance(auth, dict):
                self._warn(type(auth).__name__)
                return auth
            offset = {} if session.offset is None else {"offset": session.offset}
            exact = {"offset_exact": True} if session.exact else {}
            return {"pid": session.pid, **offset, **exact, **(auth or {})}

    def arrive(self, packet: Any) -> Arrival:
        """Take a packet over, in the order in which the transport brings them."""
        with self._lock:
            line = self._line(packet.namespace or "/")
            match packet.packet_type:
                case sio_packet.CONNECT:
                    return self._join(line, packet.data)
                case sio_packet.EVENT if not self.ended:
                    return self._take(line, packet)
                case sio_packet.DISCONNECT if line.joined and not self.ended:
                    line.joined = False
                    return self._append(line, Job(packet, self._connection))
                case sio_packet.EVENT | sio_packet.DISCONNECT:
                    return Arrival.NOTHING
                case _:
                    return Arrival.RUN_NOW

    def is_joined(self, namespace: str) -> bool:
        """Whether CONNECT has come by this connection."""
        with self._lock:
            return self._line(namespace).joined

    def next_job(self, namespace: str) -> Job | None:
        """The job that whoever runs a line is to do now; None if it is to stop. The one before is done."""
        with self._lock:
            line = self._line(namespace)
            if line.running is not None and line.running.greeting is not None and not self.closed:
                line.greeted = line.greeted or line.running.connection == self._connection
            line.running = self._begin(line)
            line.busy = line.running is not None
            return line.running

    def release(self, line: Line) -> None:
        """Whoever ran a line does so no more; the next packet has it run again."""
        with self._lock:
            line.busy = False

    def is_busy(self) -> bool:
        """Whether a handler is running, or about to."""
        with self._lock:
            return any(line.busy for line in self._lines.values())

    def line(self, namespace: str) -> Line:
        """A namespace, for `begin_call`."""
        with self._lock:
            return self._line(namespace)

    def begin_call(self, line: Line) -> list[Job]:
        """The running handler waits for the server: what that asks meanwhile goes ahead."""
        with self._lock:
            line.calls += 1
            asking = [job for job in line.jobs if job.asks]
            line.jobs = deque(job for job in line.jobs if not job.asks)
            return asking

    def end_call(self, line: Line) -> None:
        """The running handler has its answer, or has given up."""
        with self._lock:
            line.calls -= 1

    # What outlives the process ---------------------------------------------------------------------------

    def recovery(self, namespace: str) -> ClientRecovery:
        """What the last connect handler of a namespace was told."""
        with self._lock:
            return self._line(namespace).recovery

    def sessions(self) -> dict[str, Session]:
        """What the application knows, by namespace."""
        with self._lock:
            return {
                name: replace(line.known, exact=line.known.exact or not self.left)
                for name, line in self._lines.items()
                if line.known is not None
            }

    def restore(self, sessions: dict[str, Session]) -> None:
        """Begin with what an earlier process knew."""
        with self._lock:
            for name, session in sessions.items():
                line = self._line(name)
                line.session = line.known = session

    # Inside, under the lock ------------------------------------------------------------------------------

    def _line(self, namespace: str) -> Line:
        if namespace not in self._lines:
            self._lines[namespace] = Line(namespace)
        return self._lines[namespace]

    def _leave(self) -> None:
        for line in self._lines.values():
            line.joined = line.refused = line.greeted = False
            line.early.clear()

    def _join(self, line: Line, data: Any) -> Arrival:
        if line.joined or self.ended or line.namespace not in self._wanted:
            return Arrival.NOTHING  # a second one changes nothing
        told = data if isinstance(data, dict) else {}
        pid = told.get("pid") if isinstance(told.get("pid"), str) else None
        before, reason = line.session, told.get("reason")
        recovered = before is not None and before.pid == pid
        if recovered and before is not None:
            line.session = replace(before, exact=False)  # from here on, all that comes is kept
        else:
            line.session = None if pid is None else Session(pid)
        line.joined = True
        line.numbered = pid is not None or told.get("offsets") is True
        greeting = ClientRecovery(recovered, None if recovered or reason is None else str(reason))
        packet = connect_event(self._packet_class, line.namespace)
        arrival = self._append(line, Job(packet, self._connection, line.session, greeting))
        early, line.early = line.early, []
        for packet in early:
            self._take_over(line, packet)
        return arrival

    def _take(self, line: Line, packet: Any) -> Arrival:
        if not line.joined:
            line.early.append(packet)
            return Arrival.NOTHING
        if packet.id is not None and line.calls > 0:
            return Arrival.RUN_NOW
        return self._take_over(line, packet)

    def _take_over(self, line: Line, packet: Any) -> Arrival:
        if packet.id is None and line.numbered:
            offset = offset_of(packet.data[1:], self._clock())
            if offset is not None:
                packet.data = packet.data[:-1]
                if line.session is not None:
                    line.session = Session(line.session.pid, offset)
        return self._append(line, Job(packet, self._connection, line.session))

    @staticmethod
    def _append(line: Line, job: Job) -> Arrival:
        line.jobs.append(job)
        if line.busy:
            return Arrival.NOTHING
        line.busy = True
        return Arrival.RUN_LINE

    def _begin(self, line: Line) -> Job | None:
        while line.jobs:
            job = line.jobs.popleft()
            if job.packet.packet_type == sio_packet.DISCONNECT and job.connection != self._connection:
                continue  # its connection broke meanwhile: the disconnect handler has run, and we are back
            if job.packet.packet_type == sio_packet.DISCONNECT:
                line.dismissed = True
            else:
                line.known = job.session
            if job.greeting is not None:
                line.recovery = job.greeting
            return job
        return None

    def _warn(self, kind: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "no recovery: auth is of type %s, and only a dict can carry a session along",
                kind,
                extra={"event": "recover.failed"},
            )
