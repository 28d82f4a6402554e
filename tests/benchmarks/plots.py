"""Plots as SVG, on logarithmic axes, readable on a light and on a dark page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from tests.benchmarks.tables import shown

__all__ = ["Line", "draw"]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 40, 50
_COLOURS = ("#2f7ed8", "#d9822b", "#7a52c7", "#2e9e5b")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")  # who sees no colours tells the lines by these
_INK = "#808080"


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one peer."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(title: str, below: str, lines: Sequence[Line]) -> str:
    """Return a drawing of lines over each other."""
    found = [line for line in lines if line.points]
    xs = [x for line in found for x, _ in line.points]
    ys = [y for line in found for _, y in line.points]
    across = _Axis(xs, _LEFT, _WIDTH - _RIGHT, tight=True)
    up = _Axis(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
            ' font-family="sans-serif" font-size="12">'
        ),
        f"<title>{escape(title)}, by {escape(below)}</title>",
        _text(_LEFT, 20, title, anchor="start", weight="bold"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, below),
        *_grid(across, up, sorted(set(xs))),
        *(part for number, line in enumerate(found) for part in _line(line, number, across, up)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Axis:
    """Where a value stands, in pixels."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, tight: bool = False) -> None:
        self.low, self.high = log10(min(values)), log10(max(values))
        if not tight:  # whole decades
            self.low, self.high = float(floor(self.low)), float(ceil(self.high))
        self.high = max(self.high, self.low + 0.1)
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return round(self._begin + share * (self._end - self._begin), 1)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(floor(self.low), ceil(self.high) + 1)]


def _grid(across: _Axis, up: _Axis, xs: Sequence[float]) -> Iterator[str]:
    right = _WIDTH - _RIGHT
    for value in up.decades():
        y = up(value)
        yield f'<path d="M{_LEFT} {y}H{right}" stroke="{_INK}" stroke-opacity="0.3"/>'
        yield _text(_LEFT - 8, y + 4, f"{value:,.0f}".replace(",", " "), anchor="end")
    for value in xs:
        x = across(value)
        yield f'<path d="M{x} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="{_INK}" stroke-opacity="0.3"/>'
        yield _text(x, _HEIGHT - _BOTTOM + 18, f"{value:,.0f}".replace(",", " "))


def _line(line: Line, number: int, across: _Axis, up: _Axis) -> Iterator[str]:
    colour, dash = _COLOURS[number % 4], _DASHES[number % 4]
    places = [(across(x), up(y)) for x, y in line.points]
    way = "L".join(f"{x} {y}" for x, y in places)
    yield f'<path d="M{way}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
    for (x, y), (_, value) in zip(places, line.points, strict=True):
        label = f"{escape(line.name)}: {shown(value)}"
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"><title>{label}</title></circle>'
    x, y = places[-1]
    yield _text(x + 8, y + 4, f"{line.name} ({shown(line.points[-1][1])})", anchor="start", colour=colour)


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", weight: str = "normal", colour: str = _INK
) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
