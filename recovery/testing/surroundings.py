"""What simulated code sees of the real world: the time of day and randomness, both replaced.

Only while the simulation runs; between two runs everything is as it was.

- `secrets` is what this library and python-engineio draw ids from, all through its `token_bytes` and
  `randbits` (Python 3.11 to 3.13).
- ``time.time`` is what python-engineio measures its ping timeout by, in two modules (one before 4.13).

The monotonic clock is the event loop's, and the store's clock is an argument of `MemoryState`.
"""

import random
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from engineio import async_socket, base_socket

__all__ = ["Surroundings"]


class Surroundings:
    """Replacements for the time of day and for randomness.

    Args:
        chance: where randomness comes from.
        wall_clock: returns seconds since 1970.
    """

    def __init__(self, chance: random.Random, wall_clock: Callable[[], float]) -> None:
        clock = _Clock(wall_clock)
        self._replacements: tuple[tuple[Any, str, object], ...] = (  # modules; engineio ships no types
            (secrets, "token_bytes", lambda nbytes=32: chance.randbytes(nbytes)),
            (secrets, "randbits", chance.getrandbits),
            *((module, "time", clock) for module in (async_socket, base_socket) if hasattr(module, "time")),
        )

    @contextmanager
    def in_force(self) -> Generator[None]:
        """Replace them for a block."""
        originals = [getattr(module, name) for module, name, _ in self._replacements]
        for module, name, replacement in self._replacements:
            setattr(module, name, replacement)
        try:
            yield
        finally:
            for (module, name, _), original in zip(self._replacements, originals, strict=True):
                setattr(module, name, original)


class _Clock:
    """Stands in for the module `time`."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self.time = wall_clock
