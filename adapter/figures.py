"""Figures: what a manager's metrics are called, what they mean, and how each is read.

This is plain data, for whoever shows it: `adapter.metrics` to Prometheus, ``manager.metrics()`` to everybody
else. Names follow Prometheus: base units, ``_total`` for what only counts up. Reading takes no lock, no round
trip and no loop, so it may be done in any thread; each scrape costs a look at each client of the process.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapter.process import Process
from recovery.aio.runtime import Runtime
from recovery.core.connection import Phase
from recovery.core.health import Health
from recovery.core.meters import RECOVERED, Distribution, Meters
from recovery.offsets import ORIGIN
from recovery.reasons import Reason
from recovery.settings import Settings

__all__ = ["FIGURES", "Figure", "FigureKind", "Sample", "Source", "bound_text", "flattened"]

Reading = tuple[tuple[str, ...], float | Distribution]
"""Values of the labels, and the value."""


class FigureKind(StrEnum):
    """What a figure does over time, in Prometheus's words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the figures of one manager are read.

    Attributes:
        guesses: pids that were not looked up.
        health: as judged now.
    """

    process: Process
    guesses: int
    health: Health

    @property
    def meters(self) -> Meters:
        """What the process counts."""
        return self.process.meters

    @property
    def runtimes(self) -> Sequence[Runtime[Any]]:
        """The connections to streams that there are by now."""
        return self.process.streams.made()

    def said(self, event: str) -> int:
        """How often a log event has happened."""
        return sum(runtime.tally.counts[event] for runtime in self.runtimes)


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric.

    Attributes:
        name: with its prefix, its unit, and ``_total`` if it is a counter.
        meaning: one sentence, which Prometheus shows, too.
        read: tells its values; none as long as there is none.
        labels: their names.
    """

    name: str
    kind: FigureKind
    meaning: str
    read: Callable[[Source], Iterable[Reading]]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, as Prometheus would store it.

    >>> Sample("socketio_recovery_connections", {"phase": "live"}, 3.0).value
    3.0
    """

    name: str
    labels: Mapping[str, str]
    value: float


def flattened(source: Source) -> Iterator[Sample]:
    """All figures of a manager; a histogram as ``_bucket``, ``_count`` and ``_sum``."""
    for figure in FIGURES:
        for values, value in figure.read(source):
            labels = dict(zip(figure.labels, values, strict=True))
            if not isinstance(value, Distribution):
                yield Sample(figure.name, labels, float(value))
                continue
            for bound, count in value.buckets:
                yield Sample(f"{figure.name}_bucket", {**labels, "le": bound_text(bound)}, float(count))
            yield Sample(f"{figure.name}_count", labels, float(value.count))
            yield Sample(f"{figure.name}_sum", labels, value.total)


def bound_text(bound: float) -> str:
    """An upper bound as Prometheus writes it.

    >>> bound_text(0.25), bound_text(float("inf"))
    ('0.25', '+Inf')
    """
    return "+Inf" if bound == float("inf") else str(bound)


def _one(read: Callable[[Source], float | None]) -> Callable[[Source], Iterable[Reading]]:
    """A figure without labels; None for no value yet."""

    def reading(source: Source) -> Iterator[Reading]:
        value = read(source)
        if value is not None:
            yield (), value

    return reading


def _by_word(read: Callable[[Source], Counter[str]], *words: str) -> Callable[[Source], Iterable[Reading]]:
    """A figure with one label whose values are known beforehand: what has not happened is 0."""

    def reading(source: Source) -> Iterator[Reading]:
        counts = read(source)
        return (((word,), counts[word]) for word in words)

    return reading


def _recoveries(source: Source) -> Iterator[Reading]:
    counts = source.meters.recoveries
    yield (RECOVERED, ""), counts[RECOVERED]
    for reason in Reason:
        yield ("refused", reason.value), counts[reason.value]


def _attempts(source: Source) -> Iterator[Reading]:
    return (((outcome,), histogram.read()) for outcome, histogram in source.meters.attempts.items())


def _connections(source: Source) -> Iterator[Reading]:
    phases = [client.connection.phase for client in source.process.clients.all()]
    for phase, word in ((Phase.LIVE, "live"), (Phase.HELD, "held"), (Phase.ENDED, "ending")):
        yield (word,), phases.count(phase)


def _saved_sessions(source: Source) -> int:
    kept = [client.connection.phase for client in source.process.clients.all() if client.kept]
    return len(kept) - kept.count(Phase.ENDED)


def _total(read: Callable[[Runtime[Any]], float]) -> Callable[[Source], float]:
    """What all streams have together; 0 before there is one."""
    return lambda source: sum(read(runtime) for runtime in source.runtimes)


def _bound(read: Callable[[Settings], int]) -> Callable[[Source], float]:
    """A bound that counts for each stream, for all together."""
    return lambda source: read(source.process.settings) * max(1, len(source.runtimes))


def _shortest(read: Callable[[Runtime[Any]], float | None]) -> Callable[[Source], float | None]:
    """The smallest value of all streams; None before there is one."""

    def shortest(source: Source) -> float | None:
        known = [value for value in map(read, source.runtimes) if value is not None]
        return min(known, default=None)

    return shortest


def _log_span(runtime: Runtime[Any]) -> float:
    log, position = runtime.dispatcher.log, runtime.dispatcher.position
    return 0.0 if log.start == ORIGIN else max(0, position.ms - log.start.ms) / 1000


def _count(name: str, meaning: str, read: Callable[[Source], float]) -> Figure:
    return Figure(f"socketio_recovery_{name}_total", FigureKind.COUNTER, meaning, _one(read))


def _level(name: str, meaning: str, read: Callable[[Source], float | None]) -> Figure:
    return Figure(f"socketio_recovery_{name}", FigureKind.GAUGE, meaning, _one(read))


FIGURES: tuple[Figure, ...] = (
    Figure(
        "socketio_recovery_recoveries_total",
        FigureKind.COUNTER,
        "Clients that asked for recovery: let in with it (recovered), or not recovered (refused) and why.",
        _recoveries,
        ("outcome", "reason"),
    ),
    Figure(
        "socketio_recovery_attempt_seconds",
        FigureKind.HISTOGRAM,
        "Time from CONNECT to the answer for clients that ask for recovery, without the connect handler.",
        _attempts,
        ("outcome",),
    ),
    _count(
        "replayed_packets",
        "Missed packets that recovered clients were given.",
        lambda source: source.meters.replayed,
    ),
    _count(
        "takeovers",
        "Recovered clients whose old connection was still open, as far as the store knew.",
        lambda source: source.meters.takeovers,
    ),
    _count(
        "handovers",
        "Connections that ended here because another server has the session now.",
        lambda source: source.meters.handovers,
    ),
    _count(
        "takeover_timeouts",
        "Takeovers that did not wait any longer for another server's disconnect handler (takeover_timeout).",
        lambda source: source.meters.takeover_timeouts,
    ),
    _count(
        "refused_guesses",
        "Pids that were not looked up, because their transport had presented too many in vain.",
        lambda source: source.guesses,
    ),
    Figure(
        "socketio_recovery_connections",
        FigureKind.GAUGE,
        "Clients of this process: let in (live), waiting for the connect handler (held), or gone with their"
        " disconnect handler still running (ending).",
        _connections,
        ("phase",),
    ),
    _level(
        "saved_sessions",
        "Connected clients of this process whose session is in the store.",
        _saved_sessions,
    ),
    Figure(
        "socketio_recovery_session_saves_total",
        FigureKind.COUNTER,
        "Writes of sessions: saved, refused because another server has the session (overtaken), or failed.",
        _by_word(lambda source: source.meters.saves, "saved", "overtaken", "failed"),
        ("outcome",),
    ),
    Figure(
        "socketio_recovery_expired_sessions_total",
        FigureKind.COUNTER,
        "Runs of the handler session_expired in this process, by how they ended.",
        _by_word(lambda source: source.meters.expired, "returned", "raised"),
        ("outcome",),
    ),
    _count(
        "slow_clients",
        "Connections closed because more waited for the client than max_client_buffer.",
        lambda source: source.said("client.slow"),
    ),
    _level("healthy", "1 if manager.health() is true, else 0.", lambda source: int(source.health.ok)),
    _level(
        "reader_lag_seconds",
        "Time for which this process may lack entries that others have; no value before it has read.",
        lambda source: source.health.lag,
    ),
    _count(
        "read_entries",
        "Entries that this process has read.",
        _total(lambda runtime: runtime.traffic.reader.entries),
    ),
    _count(
        "read_failures",
        "Attempts to read the stream that failed; about ten a second while the store refuses.",
        lambda source: source.said("reader.failed"),
    ),
    _count(
        "reader_gaps",
        "Times that entries were missing from a stream, so that all its clients of this process were closed.",
        lambda source: source.said("reader.gap"),
    ),
    _count(
        "skipped_entries",
        "Entries left out because they could not be read, or were larger than max_packet_bytes.",
        _total(lambda runtime: runtime.dispatcher.skipped),
    ),
    _count(
        "unreadable_sessions",
        "Saved sessions that could not be read, or were larger than max_session_bytes.",
        lambda source: source.meters.unreadable_sessions,
    ),
    _count(
        "published_entries",
        "Entries that this process has appended to the stream.",
        _total(lambda runtime: runtime.traffic.published),
    ),
    _count(
        "publish_batches",
        "Script calls with which this process has appended entries.",
        _total(lambda runtime: runtime.traffic.batches),
    ),
    _count(
        "publish_retries",
        "Further attempts at a batch that the store had not confirmed.",
        _total(lambda runtime: runtime.traffic.publish_retries),
    ),
    _count(
        "publish_failures",
        "Entries that were not confirmed in time, so that their emit raised PublishError.",
        _total(lambda runtime: runtime.traffic.publish_failures),
    ),
    Figure(
        "socketio_recovery_waiting_bytes",
        FigureKind.GAUGE,
        "Memory of the emits that wait for the store.",
        _one(_total(lambda runtime: runtime.waiting_bytes)),
    ),
    _level(
        "waiting_max_bytes",
        "Bound on the memory of emits that wait for the store (max_waiting_bytes, for each stream).",
        _bound(lambda settings: settings.max_waiting_bytes),
    ),
    Figure(
        "socketio_recovery_replay_log_entries",
        FigureKind.GAUGE,
        "Entries of the stream that this process keeps in memory for replays.",
        _one(_total(lambda runtime: len(runtime.dispatcher.log))),
    ),
    _level(
        "replay_log_max_entries",
        "Bound on the entries of the replay log (log_max_entries, for each stream).",
        _bound(lambda settings: settings.log_max_entries),
    ),
    Figure(
        "socketio_recovery_replay_log_bytes",
        FigureKind.GAUGE,
        "Bytes of the entries that this process keeps in memory for replays.",
        _one(_total(lambda runtime: runtime.dispatcher.log.bytes)),
    ),
    _level(
        "replay_log_max_bytes",
        "Bound on the bytes of the replay log (log_max_bytes, for each stream).",
        _bound(lambda settings: settings.log_max_bytes),
    ),
    Figure(
        "socketio_recovery_replay_log_span_seconds",
        FigureKind.GAUGE,
        "Time that the replay log reaches back; what is older is read from the store when it is needed.",
        _one(lambda source: _shortest(_log_span)(source) or 0.0),
    ),
    _level(
        "window_seconds",
        "Time for which a client may be away (max_disconnection_duration).",
        lambda source: source.process.settings.max_disconnection_duration,
    ),
    _level(
        "stream_retention_seconds",
        "Time for which entries are to be kept: the window, a checkpoint_interval and a ping cycle.",
        lambda source: source.process.retention_ms() / 1000,
    ),
    _level(
        "stream_span_seconds",
        "Time that the stream reaches back, as last looked at, 10 s ago at most; no value before it was.",
        _shortest(lambda runtime: runtime.traffic.reader.span),
    ),
    _count(
        "window_cuts",
        "Batches of this process at which max_len cut off entries that were to be kept.",
        lambda source: source.said("stream.cut"),
    ),
)
"""All of them, in the order of the page."""
