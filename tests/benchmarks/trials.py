"""Trials: what a benchmark consists of, and the alternation in which they are run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tests.benchmarks.results import Results
from tests.benchmarks.store import Store

__all__ = ["Benchmark", "Trial", "check", "run_all"]

Measure = Callable[[Store], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement of one peer.

    Attributes:
        case: what is varied, in words.
        measure: begins with an empty store, and returns the figures by name.
        once: it varies little, or takes long, so that it is left out of the rounds after the first.
    """

    case: str
    peer: str
    measure: Measure
    once: bool = False

    def rounds(self, most: int) -> int:
        """How often it is run."""
        return 1 if self.once else most


class Benchmark(Protocol):
    """A module of this folder.

    Attributes:
        Sizes: a dataclass of numbers, with what is sensible as defaults.
        QUICK: sizes with which all of it takes a few seconds.
    """

    Sizes: Any
    QUICK: Any

    def trials(self, sizes: Any) -> Iterable[Trial]:
        """What is to be measured."""
        ...


def check(condition: object, what: str) -> None:
    """Raise if something was delivered that is not right: a fast wrong answer counts for nothing."""
    if not condition:
        raise AssertionError(what)


def run_all(
    name: str,
    trials: Iterable[Trial],
    store: Store,
    results: Results,
    *,
    rounds: int,
    progress: Callable[[str], None],
) -> None:
    """Run the trials of each case in alternation: ours, a peer, another, ours, and so on."""
    by_case: dict[str, list[Trial]] = {}
    for trial in trials:
        by_case.setdefault(trial.case, []).append(trial)
    for case, peers in by_case.items():
        for number in range(rounds):
            for trial in peers:
                if number >= trial.rounds(rounds):
                    continue
                progress(f"{name} · {case} · {trial.peer}")
                store.empty()
                results.note(name, case, trial.peer, trial.measure(store))
