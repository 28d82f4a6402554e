"""What a server emits: broadcasts, packets to rooms and to single clients, singly and in bursts.

All of it is drawn from a random generator that is passed in, so that a seed repeats it.
"""

from dataclasses import dataclass
from random import Random

from adapter.demo.records import EVERYONE, Emit

__all__ = ["ROOMS", "Traffic", "Turn", "client_name", "rooms_of"]

ROOMS = ("red", "green", "blue", "white")
_TURNS_PER_SECOND = 25.0
_BURST = 8
"""Emits of one turn of the event loop, to see that their order holds within one batch."""


def client_name(number: int) -> str:
    """Name the client of a number counted from 1.

    >>> client_name(7)
    'c07'
    """
    return f"c{number:02}"


def rooms_of(number: int) -> frozenset[str]:
    """Tell which rooms the client of a number joins: one or two, so that rooms overlap.

    >>> sorted(rooms_of(1))
    ['blue', 'green']
    """
    return frozenset({ROOMS[number % len(ROOMS)], ROOMS[(number * 2) % len(ROOMS)]})


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of the traffic brings.

    Attributes:
        pause: seconds to wait before it.
        emits: started together, in this order.
    """

    pause: float
    emits: tuple[Emit, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """An endless, random sequence of turns for the given clients and rooms (neither empty)."""

    random: Random
    clients: tuple[str, ...]
    rooms: tuple[str, ...] = ROOMS

    def next_turn(self) -> Turn:
        """Draw the next turn: one emit, or, one time in twelve, a burst."""
        pause = self.random.expovariate(_TURNS_PER_SECOND)
        size = _BURST if self.random.random() < 1 / 12 else 1
        return Turn(pause, tuple(self._emit() for _ in range(size)))

    def _emit(self) -> Emit:
        draw = self.random.random()
        if draw < 0.40:
            return Emit((EVERYONE,))
        if draw < 0.45:
            return Emit((EVERYONE,), but=self.random.choice(self.clients))
        if draw < 0.65:
            return Emit((self.random.choice(self.rooms),))
        if draw < 0.75:
            return Emit(tuple(self.random.sample(self.rooms, k=min(2, len(self.rooms)))))
        return Emit((self.random.choice(self.clients),))
