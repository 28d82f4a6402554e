"""Goals: what the benchmarks are to show, as ratios of one run, or bounds of ours alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.idle import COMMANDS, CORE
from tests.benchmarks.processes import ASYNC_MEMORY, ASYNC_REDIS, NODE, OURS, OURS_SYNC, SYNC_REDIS
from tests.benchmarks.results import Key, Results

__all__ = ["GOALS", "Goal", "Verdict", "judged"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One bound.

    Attributes:
        mine: what of ours is looked at.
        other: over what it is taken; None for the figure itself.
        bound: of the ratio, or of the figure.
        at_least: the bound is the least, not the most.
        minus: the other figure is subtracted, and not divided by.
    """

    mine: Key
    other: Key | None
    bound: float
    at_least: bool
    minus: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, and what was measured."""

    goal: Goal
    value: float

    @property
    def reached(self) -> bool:
        """Whether it is reached."""
        return self.value >= self.goal.bound if self.goal.at_least else self.value <= self.goal.bound


def judged(results: Results) -> Iterator[Verdict]:
    """All goals for which there are figures."""
    for goal in GOALS:
        if (value := _value(goal, results)) is not None:
            yield Verdict(goal, value)


def _value(goal: Goal, results: Results) -> float | None:
    if goal.other is None:
        return results.median(goal.mine)
    if not goal.minus:
        return results.ratio(goal.mine, goal.other)
    mine, other = results.median(goal.mine), results.median(goal.other)
    return None if mine is None or other is None else mine - other


def _key(benchmark: str, case: str, figure: str, peer: str = OURS) -> Key:
    return Key(benchmark, case, peer, figure)


def _over(
    benchmark: str, case: str, figure: str, peer: str, bound: float, *, at_least: bool, ours: str = OURS
) -> Goal:
    return Goal(_key(benchmark, case, figure, ours), _key(benchmark, case, figure, peer), bound, at_least)


_RESTORES, _DELIVERIES, _LATENCY = "restores/s", "deliveries/s", "latency p50, ms"
_BYTES = "bytes in Redis"

GOALS = (
    _over("storm", "M=100", _RESTORES, NODE, 1.2, at_least=True),
    _over("storm", "M=1000", _RESTORES, NODE, 5, at_least=True),
    _over("storm", "M=9000", _RESTORES, NODE, 45, at_least=True),
    Goal(_key("storm", "M=9000", _RESTORES), _key("storm", "M=100", _RESTORES), 0.8, at_least=True),
    Goal(_key("storm", "cold, M=9000", _RESTORES), _key("storm", "M=9000", _RESTORES), 0.5, at_least=True),
    Goal(_key("storm", "M=9000", "Redis output per restore, KB"), None, 5, at_least=False),
    _over("broadcast", "C=200", _DELIVERIES, ASYNC_REDIS, 2, at_least=True),
    _over("broadcast", "C=1000", _DELIVERIES, ASYNC_REDIS, 2, at_least=True),
    _over("broadcast", "threads, C=100", _DELIVERIES, SYNC_REDIS, 1, at_least=True, ours=OURS_SYNC),
    _over("relay", "one at a time", "p50, ms", ASYNC_REDIS, 1.1, at_least=False),
    _over("relay", "64 in flight", "events/s", ASYNC_REDIS, 1.5, at_least=True),
    Goal(_key("emit", "64 in flight", "emits/s"), None, 20_000, at_least=True),
    _over("emit", "awaited one by one", _LATENCY, ASYNC_REDIS, 1.5, at_least=False),
    Goal(_key("foreign", "dispatcher, 100 B", "CPU per entry, us"), None, 10, at_least=False),
    Goal(_key("foreign", "dispatcher, 10000 B", "CPU per entry, us"), None, 10, at_least=False),
    Goal(_key("foreign", "server, 100 B", "CPU per entry, us"), None, 10, at_least=False),
    _over("memory", "session", _BYTES, NODE, 1.5, at_least=False),
    _over("memory", "entry", _BYTES, NODE, 1.3, at_least=False),
    Goal(
        _key("memory", "client", "bytes in the server"),
        _key("memory", "client", "bytes in the server", ASYNC_REDIS),
        2048,
        at_least=False,
        minus=True,
    ),
    Goal(_key("memory", "replay log", "memory over its bound"), None, 1.1, at_least=False),
    Goal(
        _key("idle", "with pings", CORE),
        _key("idle", "with pings", CORE, ASYNC_MEMORY),
        1,
        at_least=False,
        minus=True,
    ),
    Goal(_key("idle", "with pings", COMMANDS), None, 500, at_least=False),
)
