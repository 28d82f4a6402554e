"""Results: what was measured, by benchmark, case, peer and figure; medians, spread and ratios."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

__all__ = ["OURS", "Key", "Results", "describe_machine"]

OURS = "ours"
_PACKAGES = ("python-socketio", "python-engineio", "redis", "uvicorn", "websockets")


class Key(NamedTuple):
    """What a list of values belongs to."""

    benchmark: str
    case: str
    peer: str
    figure: str


@dataclass(slots=True)
class Results:
    """Values in the order of the rounds, so that those of one round can be compared.

    Attributes:
        machine: on what, and when.
    """

    machine: dict[str, Any] = field(default_factory=dict[str, Any])
    values: defaultdict[Key, list[float]] = field(default_factory=lambda: defaultdict[Key, list[float]](list))

    def note(self, benchmark: str, case: str, peer: str, figures: Mapping[str, float]) -> None:
        """Add what one trial has measured."""
        for figure, value in figures.items():
            self.values[Key(benchmark, case, peer, figure)].append(value)

    def benchmarks(self) -> list[str]:
        """Names of benchmarks, in the order in which they were run."""
        return list(dict.fromkeys(key.benchmark for key in self.values))

    def of(self, benchmark: str) -> Iterator[tuple[Key, list[float]]]:
        """All values of one benchmark."""
        return ((key, values) for key, values in self.values.items() if key.benchmark == benchmark)

    def median(self, key: Key) -> float | None:
        """The value in the middle; None if nothing was measured."""
        values = self.values.get(key)
        return median(values) if values else None

    def ratio(self, one: Key, other: Key) -> float | None:
        """The median of one value over the other of the same round; None if one is missing."""
        pairs = zip(self.values.get(one, ()), self.values.get(other, ()), strict=False)
        ratios = [a / b for a, b in pairs if b]
        return median(ratios) if ratios else None

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        rows = [{**key._asdict(), "values": values} for key, values in self.values.items()]
        path.write_text(json.dumps({"machine": self.machine, "rows": rows}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` has written."""
        stored = json.loads(path.read_text())
        results = cls(stored["machine"])
        for row in stored["rows"]:
            key = Key(row["benchmark"], row["case"], row["peer"], row["figure"])
            results.values[key] = [float(value) for value in row["values"]]
        return results


def describe_machine(store: str) -> dict[str, Any]:
    """What a reader must know to compare these figures with others."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "store": store,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
