"""The asyncio runtime of one server: its store, reader and publisher, and all waiting.

It performs what flows ask for (`recovery.flows.steps`), and passes on what the dispatcher leaves to do.
It knows nothing of Socket.IO transports: the front end (`adapter`) does.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from recovery.aio.claimer import Claimer
from recovery.aio.publisher import Publisher
from recovery.aio.session_writer import SessionWriter
from recovery.aio.tasks import end_tasks
from recovery.aio.waits import Positions, Releases
from recovery.commands import (
    Append,
    Appended,
    AsyncStore,
    Command,
    Flow,
    OpenStream,
    ReadBack,
    RenewStream,
)
from recovery.core.control import Release
from recovery.core.dispatcher import Dispatcher
from recovery.core.effects import Effect
from recovery.core.meters import Meters, StreamMeters
from recovery.core.packets import FrameCodec
from recovery.core.replay_log import ReplayLog
from recovery.core.tally import Tally
from recovery.drafts import Drafts
from recovery.driver import run_async
from recovery.entries import PayloadCodec
from recovery.errors import PublishError, StoreError, StoreUnavailableError
from recovery.flows.backfill import complete_log
from recovery.flows.pace import Pace
from recovery.flows.reading import Batch, is_lost, read_on
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
from recovery.offsets import ORIGIN, Offset
from recovery.records import Draft, Epoch, ServerId, StreamState
from recovery.settings import Settings

__all__ = ["FrontEnd", "Runtime"]

F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)
logger = logging.getLogger("recovery.runtime")

_DOUBT_EVERY = 10.0  # seconds; a proxy may lead to another server, and hold our connections open
_PAUSE_AFTER_ERROR = 0.1  # seconds between two attempts to read while the store is away
_SKIPS_SAID_EVERY = 60.0  # seconds after which a cause of leaving entries out is logged as if it were new


class FrontEnd(Protocol[F]):
    """What the runtime needs of the part that knows Socket.IO."""

    def carry_out(self, effects: Sequence[Effect[F]]) -> None:
        """Do what dispatched entries ask for, in tasks of its own; must not wait."""
        ...

    async def vacate(self, step: Vacate) -> bool:
        """Free a sid; see `Vacate`."""
        ...

    def interrupt(self, dispatcher: Dispatcher[F]) -> None:
        """A stream was interrupted: close all transports of its clients, which come back and are told."""
        ...


class Runtime(Generic[F]):
    """One server's connection to the stream. Made inside a running loop, and after any fork.

    Attributes:
        server: identity of this process.
        dispatcher: its clients.
        sessions: writes saved sessions.
        drafts: makes entries.
        tally: counts what operators should know of, by log event.
        meters: count what becomes of its clients.
        traffic: counts what is read and appended; times in it are `time.monotonic`'s, so that any thread may
            compare.
        positions: who waits for a place in the stream.
        releases: who waits for another server to let go of a client.
        interrupted: when the stream could not be read last, on the loop's clock: the store may have lost what
            it had confirmed until then.
    """

    interrupted = -inf

    def __init__(
        self,
        store: AsyncStore,
        settings: Settings,
        codec: PayloadCodec,
        frames: FrameCodec[F],
        front_end: FrontEnd[F] | None,
        *,
        server: ServerId,
        retention_ms: Callable[[], int],
        meters: Meters,
    ) -> None:
        self.server = server
        self.tally = Tally()
        self.meters = meters
        self.traffic = StreamMeters()
        self.positions = Positions()
        self.releases = Releases()
        self.drafts = Drafts(self.server, codec, settings.max_packet_bytes)
        self.sessions = SessionWriter(store, timeout=settings.publish_timeout, meters=self.meters)
        self.dispatcher: Dispatcher[F] = Dispatcher(
            self.server,
            ReplayLog(ORIGIN, max_entries=settings.log_max_entries, max_bytes=settings.log_max_bytes),
            codec,
            frames,
            max_client_buffer=settings.max_client_buffer,
            max_packet_bytes=settings.max_packet_bytes,
            meters=self.meters,
        )
        self._store = store
        self._settings = settings
        self._front_end = front_end
        self._retention_ms = retention_ms
        self._publisher = Publisher(
            self.perform,
            self.server,
            new_epoch=_new_epoch,
            retention_ms=retention_ms,
            max_len=settings.max_len,
            timeout=settings.publish_timeout,
            max_waiting_bytes=settings.max_waiting_bytes,
            on_appended=self._appended,
        )
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        self._pace = Pace(settings.read_count)
        self._skips_said = 0.0  # when the log was last told what is left out, on the loop's clock
        self._closed = False
        self._log_lock = asyncio.Lock()
        self._steps = self._steps_by_command()

    @property
    def epoch(self) -> Epoch:
        """Identity of the stream, as far as this server has read."""
        return self.dispatcher.epoch

    @property
    def waiting_bytes(self) -> int:
        """Bytes of memory that unconfirmed entries take."""
        return self._publisher.waiting_bytes

    def begin(self) -> None:
        """Begin to read, and do not wait. May be called often."""
        if self._reader is None and not self._closed:
            self.traffic.reader.begun = True
            self._reader = asyncio.create_task(self._run(), name="recovery.reader")

    async def start(self) -> None:
        """Begin to read, and return when the position is known. May be called often.

        A process that only emits need not do so.

        Raises:
            StoreUnavailableError: the store did not answer in time; the attempts go on.
        """
        if self._opened.done():
            return
        self.begin()
        try:
            async with asyncio.timeout(self._settings.publish_timeout):
                await asyncio.shield(self._opened)
        except TimeoutError as exc:
            raise StoreUnavailableError(
                f"no answer from the store within {self._settings.publish_timeout} s", maybe_applied=False
            ) from exc

    async def publish(self, draft: Draft) -> Offset:
        """Append an entry; raises `PublishError`."""
        if self._closed:
            raise PublishError("the packet was not stored: this server was closed", maybe_stored=False)
        return await self._insist_on(draft)

    async def passed(self, offset: Offset, patience: float) -> bool:
        """Wait until everything up to an offset is dispatched; False after `patience` seconds."""
        if self.dispatcher.position >= offset:
            return True
        return await self.positions.wait(offset, patience)

    async def perform(self, command: Command[Any]) -> Any:  # the reply's type is the command's parameter
        """Carry out one command of a flow."""
        step = self._steps.get(type(command))
        return await (step(command) if step is not None else self._store.execute(command))

    async def close(self) -> None:
        """Write what is left to write, and stop reading. It cannot be started again, nor closes its store."""
        self._closed = True  # or whoever goes on to emit would keep the publisher busy for ever
        await self._publisher.drain()
        await self.sessions.drain()
        if self._reader is not None:
            await end_tasks([self._reader])

    async def _run(self) -> None:
        proven = -inf  # when continuity was proven last
        while True:
            now = asyncio.get_running_loop().time()
            doubtful = now - proven >= _DOUBT_EVERY
            try:
                if not self._opened.done():
                    await self._open()
                batch = await run_async(self._next_batch(doubtful=doubtful), self.perform)
            except StoreError as exc:
                self.traffic.reader.failing = True
                self.interrupted = asyncio.get_running_loop().time()
                if self._is_news("reader.failed"):
                    logger.warning("cannot read the stream: %s", exc, extra={"event": "reader.failed"})
                proven = -inf
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
                continue
            proven = now if doubtful else proven
            if not (batch.entries or doubtful) and self.dispatcher.edge > self.dispatcher.position:
                proven = -inf  # what this server has published should have come
            if self.tally.over("reader.failed"):
                logger.info("the stream is read again", extra={"event": "reader.resumed"})
            try:
                self._take(batch)
            except Exception:  # a defect, and no reason to leave all clients without packets
                logger.exception("entries were not taken as they should", extra={"event": "reader.defect"})
            self._note_progress(batch)
            await asyncio.sleep(0)  # let others run even if the store never makes us wait

    async def _open(self) -> None:
        state = await self._store.execute(OpenStream(_new_epoch()))
        known = self.dispatcher.edge  # where this server has emitted before it began to read
        if known > ORIGIN and is_lost(known, await self._store.execute(ReadBack(known, 1))):
            state = await self._store.execute(RenewStream(state.epoch, _new_epoch(), known))
        if self._front_end is not None:
            # Whoever was let in without the store has missed what came till now.
            self._front_end.interrupt(self.dispatcher)
        self.dispatcher.skip_to(state.last, state.epoch)
        logger.info("reading begins after %s", state.last, extra={"event": "reader.started"})
        self._opened.set_result(None)

    def _next_batch(self, *, doubtful: bool) -> Flow[Batch]:
        return read_on(
            self.dispatcher.position,
            count=self._pace.count,
            block_ms=round(self._settings.block_time * 1000),
            retention_ms=self._retention_ms(),
            max_len=self._settings.max_len,
            doubtful=doubtful,
            renewal=RenewStream(self.epoch, _new_epoch(), self.dispatcher.edge),
        )

    def _take(self, batch: Batch) -> None:
        if batch.stream is not None and (batch.gap or batch.stream.epoch != self.epoch):
            self._interrupted(batch.stream)
            effects: list[Effect[F]] = []
        else:
            self._pace.note(batch.entries)
            self._say_skips_again()
            effects = self.dispatcher.dispatch(batch.entries)
        self.positions.passed(self.dispatcher.position)
        for effect in effects:
            if isinstance(effect, Release):
                self.releases.heard((effect.namespace, effect.sid, effect.number))
        if effects and self._front_end is not None:
            self._front_end.carry_out(effects)

    def _interrupted(self, stream: StreamState) -> None:
        """Entries are missing: nobody here may be left believing that they were delivered."""
        self.tally.counts["reader.gap"] += 1
        logger.error(
            "entries after %s are gone from the stream; all clients have to reconnect",
            self.dispatcher.position,
            extra={"event": "reader.gap"},
        )
        if self._front_end is not None:
            self._front_end.interrupt(self.dispatcher)
        self.dispatcher.skip_to(stream.last, stream.epoch)

    def _note_progress(self, batch: Batch) -> None:
        position = self.dispatcher.position
        self.traffic.reader.note(len(batch.entries), position, batch.stream, now=monotonic())

    def _say_skips_again(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._skips_said >= _SKIPS_SAID_EVERY:
            self._skips_said = now
            self.dispatcher.skips.restart()

    def _appended(self, appended: Appended) -> None:
        self.traffic.note_appended(len(appended.offsets))
        self.dispatcher.published = max(self.dispatcher.published, appended.offsets[-1])
        if appended.cut_into_window and self._is_news("stream.cut"):
            logger.warning(
                "max_len cuts into the recovery window: raise it, or lower max_disconnection_duration",
                extra={"event": "stream.cut"},
            )

    def _is_news(self, event: str) -> bool:
        """Count an event, and tell whether the log has not heard of it lately."""
        return self.tally.note(event, asyncio.get_running_loop().time())

    def _steps_by_command(self) -> dict[type[Command[Any]], Callable[[Any], Awaitable[Any]]]:
        """What carries out the commands that are not the store's."""
        return {
            Append: self._append,
            Clock: self._clock,
            Pause: self._pause,
            Publish: self._publish,
            AwaitPosition: self._await_position,
            AwaitRelease: self._await_release,
            Claim: Claimer(self._store, self.dispatcher).claim,
            CompleteLog: self._complete_log,
            Vacate: self._vacate,
        }

    async def _clock(self, _step: Clock) -> float:
        return asyncio.get_running_loop().time()

    async def _pause(self, step: Pause) -> None:
        await asyncio.sleep(step.seconds)

    async def _append(self, command: Append) -> Appended:
        """Append to a stream that has all that this server knows by now; it may be an attempt of many."""
        self.traffic.note_append(command.sequence)
        try:
            return await self._store.execute(replace(command, known=self.dispatcher.edge))
        except StoreUnavailableError:
            self.traffic.unanswered = monotonic()
            raise

    async def _publish(self, step: Publish) -> Offset:
        return await self._insist_on(step.draft)

    async def _insist_on(self, draft: Draft) -> Offset:
        try:
            return await self._publisher.publish(draft)
        except PublishError:
            self.traffic.publish_failures += 1
            raise

    async def _vacate(self, step: Vacate) -> bool:
        return self._front_end is None or await self._front_end.vacate(step)

    async def _await_position(self, step: AwaitPosition) -> bool:
        return await self.passed(step.offset, step.timeout)

    async def _await_release(self, step: AwaitRelease) -> bool:
        return await self.releases.wait((step.namespace, step.sid, step.number), step.timeout)

    async def _complete_log(self, step: CompleteLog) -> bool:
        async with self._log_lock:  # whoever comes next finds what the first one read
            flow = complete_log(
                self.dispatcher.log,
                step.back_to,
                count=self._settings.read_count,
                max_packet_bytes=self._settings.max_packet_bytes,
            )
            return await run_async(flow, self.perform)


def _new_epoch() -> Epoch:
    return Epoch(secrets.token_hex(8))
