"""Drawing: numbers become shapes on a strip that is `WIDTH` wide and is stretched to whatever the screen has.

Nothing here is text: labels stand beside the strips, so that they keep their size on a phone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recovery.inspect.web.timeline import Fate, SpanKind, Timeline
from recovery.inspect.words import duration

__all__ = ["WIDTH", "Bar", "Lane", "Line", "bars_of_seconds", "focus_of", "lanes_of", "line_of"]

WIDTH = 1000
HEIGHT = 100
_COLUMNS = 200
_THINNEST = 2.0
_QUIET = {"began", "entered", "left", "proven"}  # marks that no picture needs to reach back to


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, with what it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One strip of a timeline.

    Attributes:
        said: all of it in one sentence, for those who do not see it.
    """

    name: str
    bars: tuple[Bar, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line over time.

    Attributes:
        points: as SVG has them; empty if there are fewer than two.
        target: height of what is wanted, None if that is above the strip.
        top: what the upper edge stands for.
    """

    points: str
    target: float | None
    top: float


def focus_of(timeline: Timeline) -> tuple[int, int]:
    """The part of a session's time in which something happened to it, with some space around.

    A client that is away for an hour missed most of what it missed in one of the minutes, and one that was
    connected for a day is looked at for its last gap.
    """
    moments = [packet.offset.ms for packet in timeline.packets]
    moments += [mark.at_ms for mark in timeline.marks if mark.kind not in _QUIET]
    inside = [at for at in moments if timeline.begin_ms <= at <= timeline.end_ms]
    if not timeline.packets:
        inside.append(timeline.end_ms)
    first, last = min(inside), max(inside)
    gap = max((span.begin_ms for span in timeline.spans if span.kind is SpanKind.AWAY), default=None)
    if gap is not None:
        first = max(first, gap - 2 * max(1000, last - gap))
    space = max(500, (last - first) // 6)
    return max(timeline.begin_ms, first - space), min(timeline.end_ms, last + space)


def lanes_of(timeline: Timeline, begin_ms: int, end_ms: int) -> tuple[Lane, ...]:
    """Connections, what was sent, what was missed, and events, between two moments."""
    scale = _Scale(begin_ms, end_ms)
    spans = [
        Bar(
            scale.x(span.begin_ms),
            20 if span.kind == "uncertain" else 5,
            scale.width(span.begin_ms, span.end_ms),
            60 if span.kind == "uncertain" else 90,
            span.kind.value,
            f"{span.kind.value} for {duration(span.end_ms - span.begin_ms)}",
        )
        for span in timeline.spans
        if span.end_ms >= begin_ms and span.begin_ms <= end_ms
    ]
    marks = [
        Bar(scale.x(mark.at_ms), 0, _THINNEST * 2, HEIGHT, mark.kind.replace(" ", "-"), mark.said)
        for mark in timeline.marks
        if begin_ms <= mark.at_ms <= end_ms
    ]
    return (
        Lane("Connection", tuple(spans), _joined(bar.said for bar in spans) or "not known"),
        _packet_lane("Sent", timeline, scale, (Fate.RECEIVED, Fate.SENT)),
        _packet_lane("Missed", timeline, scale, (Fate.MISSED, Fate.LOST)),
        Lane("Events", tuple(marks), f"{len(marks)} events, listed below"),
    )


def _joined(texts: Iterable[str]) -> str:
    return ", then ".join(texts)


def _packet_lane(name: str, timeline: Timeline, scale: "_Scale", fates: Sequence[Fate]) -> Lane:
    counts = {fate: Counter[int]() for fate in fates}
    for packet in timeline.packets:
        if packet.fate in counts and scale.begin_ms <= packet.offset.ms <= scale.end_ms:
            counts[packet.fate][scale.column(packet.offset.ms)] += 1
    highest = max((sum(count[at] for count in counts.values()) for at in range(_COLUMNS)), default=0)
    bars: list[Bar] = []
    for at in sorted({at for count in counts.values() for at in count}):
        y = float(HEIGHT)
        for fate, count in counts.items():
            if count[at]:
                height = max(8.0, HEIGHT * count[at] / max(1, highest))
                y -= height
                x = at * WIDTH / _COLUMNS
                bars.append(
                    Bar(x, max(0.0, y), WIDTH / _COLUMNS, height, fate.value, f"{count[at]} {fate.value}")
                )
    said = _joined(f"{count.total()} {fate.value}" for fate, count in counts.items())
    return Lane(name, tuple(bars), said.replace(", then", ","))


@dataclass(frozen=True, slots=True)
class _Scale:
    begin_ms: int
    end_ms: int

    def x(self, ms: int) -> float:
        length = max(1, self.end_ms - self.begin_ms)
        return round(min(1.0, max(0.0, (ms - self.begin_ms) / length)) * (WIDTH - 2 * _THINNEST), 1)

    def width(self, begin_ms: int, end_ms: int) -> float:
        return max(_THINNEST, round(self.x(end_ms) - self.x(begin_ms) + 2 * _THINNEST, 1))

    def column(self, ms: int) -> int:
        return min(_COLUMNS - 1, int(self.x(ms) * _COLUMNS / WIDTH))


def bars_of_seconds(seconds: Mapping[int, int], begin: int, end: int, columns: int = 60) -> tuple[Bar, ...]:
    """How many fell into each piece of a time, which begins and ends with a second since 1970."""
    length = max(1, end - begin + 1)
    columns = min(columns, length)
    counts = Counter[int]()
    for second, count in seconds.items():
        if begin <= second <= end:
            counts[(second - begin) * columns // length] += count
    highest = max(counts.values(), default=0)
    width = WIDTH / columns
    return tuple(
        Bar(
            round(at * width, 1),
            round(HEIGHT * (1 - count / highest), 1),
            round(width * 0.85, 1),
            round(HEIGHT * count / highest, 1),
            "rate",
            f"{count} in {duration(1000 * length / columns)}",
        )
        for at, count in sorted(counts.items())
    )


def line_of(points: Sequence[tuple[int, float]], target: float | None = None) -> Line:
    """A line through values over time, and how high `target` would be."""
    if len(points) < 2:
        return Line("", None, 0.0)
    top = max([value for _, value in points] + ([] if target is None else [target])) * 1.1 or 1.0
    begin, end = points[0][0], max(points[-1][0], points[0][0] + 1)
    drawn = " ".join(
        f"{WIDTH * (at - begin) / (end - begin):.1f},{HEIGHT * (1 - value / top):.1f}" for at, value in points
    )
    return Line(drawn, None if target is None else round(HEIGHT * (1 - target / top), 1), top)
