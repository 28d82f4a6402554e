"""Rehearsal: what a reconnection now would get, found by the code that admits reconnections.

The flow `recovery.flows.admission.admit` runs as on a server that has read the whole stream. What it asks of
the store is read and judged (`recovery.core.claiming`), and what it would write or wait for is not done: the
claim is granted and not made, the takeover is not published, the old connection lets go at once, and a
session of Node's is adopted nowhere but here. So this is no second version of the decision, and cannot differ
from it but where time does:

1. Settings are those given, not the servers'. Pass theirs.
2. A server that lags behind, or whose replay log is full, may refuse what is granted here.
3. A server whose application uses another ``json`` module or ``serializer`` decodes with that.
4. Whether an application binds sessions to users (setting ``identity``) no store tells; then none of Node's
   is adopted. Say so by an identity.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recovery.adoption import FindSession, FoundSession
from recovery.commands import (
    Claimed,
    ClaimRefused,
    ClaimSession,
    Command,
    GetStream,
    ReadBack,
    Saved,
    SaveSession,
)
from recovery.core.claiming import refusal_of_claim
from recovery.core.connection import Connection
from recovery.core.decision import Presented, read_auth
from recovery.core.dispatcher import Dispatcher
from recovery.core.packets import AckRequest
from recovery.core.replay_log import ReplayLog
from recovery.drafts import Drafts
from recovery.driver import run
from recovery.entries import PayloadCodec
from recovery.errors import MalformedError, StoreError
from recovery.flows.admission import Newcomer, admit
from recovery.flows.backfill import complete_log
from recovery.flows.steps import (
    AwaitPosition,
    AwaitRelease,
    Claim,
    Clock,
    CompleteLog,
    Pause,
    Publish,
    Vacate,
)
from recovery.inspect.decoding import held_since_ms, standing_of
from recovery.inspect.records import StoredSession
from recovery.inspect.sources import AT_ONCE, Source
from recovery.offsets import ORIGIN, parse_offset
from recovery.reasons import Reason
from recovery.records import Namespace, Pid, Room, ServerId, Sid, StreamState
from recovery.settings import Settings

__all__ = ["Packet", "Rehearsal", "answer_to", "rehearse"]

_SERVER = ServerId("rehearsal")
"""No server of anybody's has that id: theirs are hexadecimal."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as the client would get it.

    Attributes:
        args: the event's name and its arguments, the offset last, as it travels.
    """

    namespace: Namespace
    args: Sequence[Any]  # the application's own data

    @property
    def offset(self) -> str:
        """Where it stands in the stream."""
        return str(self.args[-1])


@dataclass(slots=True)
class Rehearsal:
    """What would happen, and what it rests on.

    Example::

        rehearsal = rehearse(source, pid)
        print(rehearsal.outcome, rehearsal.rooms, [packet.args for packet in rehearsal.packets])

    Attributes:
        presented: what the client was taken to present.
        connection: what it would have; its `recovery` says whether it is the old session.
        packets: everything that it would be sent behind CONNECT, in order.
        stored: what the store has of the session; None if that was not asked, or there is nothing.
        claim: the store's answer to the claim, the last one; None if it was not asked.
        adopted: whether it is a session of Node's, which was taken over to be claimed.
        stream: the stream that it was judged by; None if there is none.
        log: what was read of the stream; complete after its start.
        codec: that payloads were decoded with.
        settings: that it was judged by.
    """

    presented: Presented = field(repr=False)
    connection: Connection[Packet] = field(repr=False)
    packets: tuple[Packet, ...]
    stored: StoredSession | None = field(repr=False)
    claim: Claimed | ClaimRefused | None = field(repr=False)
    stream: StreamState | None
    log: ReplayLog[Packet] = field(repr=False)
    codec: PayloadCodec = field(repr=False)
    settings: Settings = field(repr=False)
    adopted: bool = False

    @property
    def recovered(self) -> bool:
        """Whether it would get its session back."""
        return self.connection.recovery.recovered

    @property
    def reason(self) -> Reason | None:
        """Why it would not."""
        return self.connection.recovery.reason

    @property
    def outcome(self) -> str:
        """The word "recovered", or the reason."""
        return "recovered" if self.recovered else str(self.reason or "not-asked")

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The rooms that it would be in."""
        return tuple(self.connection.membership.rooms())


def rehearse(
    source: Source,
    pid: str,
    offset: str | None = None,
    *,
    namespace: str | None = None,
    identity: str | None = None,
    settings: Settings | None = None,
    codec: PayloadCodec | None = None,
    now_ms: int | None = None,
) -> Rehearsal:
    """Tell what a client that presents a pid and an offset now would get. Changes nothing.

    Args:
        offset: of the last packet that the client received; None for a client that has received none.
        namespace: that it connects to; the session's own by default.
        identity: SHA-256 of its user, as it is saved; the session's own by default.
        settings: the servers'.
        now_ms: the moment at which it comes; the source's own by default.

    Raises:
        StoreError: the source does not answer.

    Example::

        rehearsal = rehearse(source, pid, "1700000000000-3")
        print(rehearsal.outcome, len(rehearsal.packets))
    """
    presented, _ = read_auth({"pid": pid, "offset": offset})
    stage = _Stage(source, settings or Settings(), codec or PayloadCodec(), now_ms)
    if presented.pid is not None:
        stage.stored = source.session(presented.pid)
    newcomer = stage.newcomer(presented, namespace, identity)
    connection = run(admit(newcomer, stage.dispatcher, stage.drafts, stage.settings), stage.perform)
    if stage.failure is not None:
        raise stage.failure
    if connection.recovery.recovered:
        connection.go_live()
    return stage.seen(presented, connection)


def answer_to(command: ClaimSession, stored: StoredSession | None, now_ms: int) -> Claimed | ClaimRefused:
    """What a store that has this would answer to a claim, which is not made."""
    try:
        standing = None if stored is None else standing_of(stored)
    except MalformedError as error:
        return ClaimRefused(Reason.SESSION_UNKNOWN, str(error))
    refusal = refusal_of_claim(command, standing, now_ms)
    if refusal is not None:
        return refusal
    assert stored is not None and standing is not None, "what is unknown was refused"
    if stored.value is None:
        return ClaimRefused(Reason.SESSION_UNKNOWN, f"the session has {stored.size} bytes, more than is read")
    return Claimed(
        number=int(stored.claim["n"]) + 1,
        value=stored.value,
        proven=parse_offset(stored.claim["proven"]),
        holder=ServerId(stored.claim["holder"].decode()),
        holder_state=standing.state,
        since_ms=max(0, now_ms - held_since_ms(stored)),
    )


def _own(stored: StoredSession | None) -> tuple[str, str]:
    """The namespace and identity that a session was saved with."""
    claim: Mapping[str, bytes] = {} if stored is None else stored.claim
    namespace, identity = claim.get("nsp", b"/"), claim.get("identity", b"")
    return namespace.decode(errors="surrogateescape"), identity.decode(errors="surrogateescape")


class _Packets:
    """A `FrameCodec` whose frames are the packets themselves; nothing is delivered live here."""

    def event(self, namespace: Namespace, args: Sequence[Any]) -> Sequence[Packet]:
        return [Packet(namespace, args)]

    def event_with_ack(
        self, namespace: Namespace, sid: Sid, args: Sequence[Any], ack: AckRequest
    ) -> Sequence[Packet]:
        raise NotImplementedError(f"{sid} of {namespace}: {len(args)} arguments for {ack}")


class _Stage:
    """A server that has read the whole stream of a source, and writes nothing."""

    def __init__(self, source: Source, settings: Settings, codec: PayloadCodec, now_ms: int | None) -> None:
        self.settings = settings
        self.stored: StoredSession | None = None
        self.adopted: StoredSession | None = None
        self.claim: Claimed | ClaimRefused | None = None
        self.failure: StoreError | None = None
        self.stream = source.stream()
        self.drafts = Drafts(_SERVER, codec)
        self.sent: list[Packet] = []
        log: ReplayLog[Packet] = ReplayLog(
            ORIGIN, max_entries=settings.log_max_entries, max_bytes=settings.log_max_bytes
        )
        self.dispatcher: Dispatcher[Packet] = Dispatcher(
            _SERVER,
            log,
            codec,
            _Packets(),
            max_client_buffer=settings.max_client_buffer,
            max_packet_bytes=settings.max_packet_bytes,
        )
        if self.stream is not None:
            self.dispatcher.skip_to(self.stream.last, self.stream.epoch)
        self._source = source
        self._now_ms = now_ms
        self._steps: Mapping[type[Command[Any]], Callable[[Any], Any]] = {
            Clock: lambda _step: time.monotonic(),
            Pause: lambda _step: None,
            Claim: self._claim,
            FindSession: self._find,
            SaveSession: self._adopt,
            GetStream: lambda _command: self.stream,
            ReadBack: self._read_back,
            CompleteLog: self._complete_log,
            AwaitPosition: self._await_position,
            Publish: lambda _step: self.dispatcher.position,
            AwaitRelease: lambda _step: True,
            Vacate: lambda _step: True,
        }

    def newcomer(self, presented: Presented, namespace: str | None, identity: str | None) -> Newcomer[Packet]:
        """The client, of whom only what it presents is old."""
        own = _own(self.stored)
        return Newcomer(
            namespace=Namespace(own[0] if namespace is None else namespace),
            transport="",
            presented=presented,
            identity=own[1] if identity is None else identity,
            nonce="",
            sid=Sid(""),
            pid=Pid(secrets.token_urlsafe(24)),
            send=self._send,
            with_offsets=True,
        )

    def seen(self, presented: Presented, connection: Connection[Packet]) -> Rehearsal:
        """What came of it."""
        return Rehearsal(
            presented,
            connection,
            tuple(self.sent),
            self.stored,
            self.claim,
            self.stream,
            self.dispatcher.log,
            self.drafts.codec,
            self.settings,
            self.adopted is not None,
        )

    def _send(self, packets: Sequence[Packet]) -> int:
        self.sent.extend(packets)
        return 0

    def perform(self, command: Command[Any]) -> Any:  # the reply's type is the command's parameter
        """Answer a command of the flow without changing anything."""
        try:
            return self._steps[type(command)](command)
        except StoreError as error:
            self.failure = self.failure or error  # not the server's trouble, but ours
            raise StoreError(str(error)) from error  # an answer: it is not asked again

    def _claim(self, step: Claim) -> Claimed | ClaimRefused:
        self.claim = answer_to(step.command, self.adopted or self.stored, self._now())
        return self.claim

    def _find(self, command: FindSession) -> FoundSession | None:
        """What a store has under a pid, as `FindSession` finds it."""
        stored = self.stored
        if stored is None or not stored.value or len(stored.value) > command.max_bytes:
            return None
        number = stored.claim.get("n", b"0")
        return FoundSession(int(number) if number.isdigit() else 0, stored.value)

    def _adopt(self, command: SaveSession) -> Saved:
        """What a store would have then; the source stays as it is."""
        now, value = self._now(), command.value
        claim: dict[str, str] = {
            "n": str(command.number),
            "state": command.state.value,
            "deadline": str(now + command.ttl_ms),
            "proven": str(command.proven),
            "holder": command.owner,
            "since": str(now),
            "nsp": command.namespace,
            "identity": command.identity,
            "epoch": command.epoch,
        }
        fields = {name: text.encode(errors="surrogateescape") for name, text in claim.items()}
        self.adopted = StoredSession(command.pid, fields, value, None if value is None else len(value))
        return Saved()

    def _now(self) -> int:
        return self._source.now_ms() if self._now_ms is None else self._now_ms

    def _read_back(self, command: ReadBack) -> Any:
        return self._source.read_back(command.upto, min(command.count, AT_ONCE))

    def _complete_log(self, step: CompleteLog) -> bool:
        count = min(self.settings.read_count, AT_ONCE)
        limit = self.settings.max_packet_bytes
        flow = complete_log(self.dispatcher.log, step.back_to, count=count, max_packet_bytes=limit)
        return run(flow, self.perform)

    def _await_position(self, step: AwaitPosition) -> bool:
        return step.offset <= self.dispatcher.position
