"""Runs many simulated histories and reports: ``python -m recovery.testing.run --seeds 0:1000 --jobs 2``.

Each seed is one plan (`recovery.testing.planning`). The exit status is 1 if anything was found; findings are
printed with their seeds, and told as stories as short as they could be made.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from recovery.testing.planning import make_plan
from recovery.testing.plans import Outcome, run
from recovery.testing.shrinking import shrink

__all__ = ["Report", "main", "run_seeds"]


@dataclass(slots=True)
class Report:
    """What came of many histories.

    Attributes:
        histories: how many were run.
        packets: how many reached a client.
        recoveries: connects that were recovered.
        refusals: connects that were not, by reason.
        seconds: of virtual time.
        failed: seeds with problems, and of what kinds.
    """

    histories: int = 0
    packets: int = 0
    recoveries: int = 0
    refusals: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    failed: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    def add(self, seed: int, outcome: Outcome) -> None:
        """Count one history."""
        self.histories += 1
        self.packets += outcome.packets
        self.recoveries += outcome.recoveries
        self.refusals += outcome.refusals
        self.seconds += outcome.seconds
        if outcome.problems:
            self.failed[seed] = sorted({problem.kind for problem in outcome.problems})

    def merge(self, other: "Report") -> None:
        """Count what another process has run."""
        self.histories += other.histories
        self.packets += other.packets
        self.recoveries += other.recoveries
        self.refusals += other.refusals
        self.seconds += other.seconds
        self.failed.update(other.failed)


def run_seeds(seeds: Sequence[int]) -> Report:
    """Run the plans of some seeds; see `make_plan`."""
    logger, report = logging.getLogger("recovery"), Report()
    level = logger.level
    logger.setLevel(logging.ERROR)  # what goes wrong in them is meant to
    try:
        for seed in seeds:
            report.add(seed, run(make_plan(seed)))
    finally:
        logger.setLevel(level)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    first, last = (int(part) for part in options.seeds.split(":"))
    started = time.monotonic()
    report = Report()
    for part in _parts(range(first, last), options):
        report.merge(part)
        if options.progress:
            print(f"{report.histories} histories, failed: {list(report.failed) or 'none'}", file=sys.stderr)
        if time.monotonic() - started > options.budget or len(report.failed) >= options.stop_after:
            break
    _tell(report, first, time.monotonic() - started)
    for seed in list(report.failed)[: options.stories]:
        _tell_story(seed)
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recovery.testing.run", description="Simulate histories.")
    parser.add_argument("--seeds", default="0:1000", help="first seed, and the one after the last")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--chunk", type=int, default=50, help="seeds that a process takes at a time")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which to stop")
    parser.add_argument("--stop-after", type=int, default=sys.maxsize, help="seeds with problems to stop at")
    parser.add_argument("--stories", type=int, default=5, help="failed seeds that are told as a short story")
    parser.add_argument("--progress", action="store_true", help="say how far it is, now and then")
    return parser


def _parts(seeds: range, options: argparse.Namespace) -> Iterator[Report]:
    jobs, size = options.jobs, options.chunk
    chunks = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    if jobs == 1:
        yield from map(run_seeds, chunks)
        return
    executor = ProcessPoolExecutor(jobs)
    try:
        yield from executor.map(run_seeds, chunks)
    finally:
        executor.shutdown(cancel_futures=True)


def _tell(report: Report, first: int, seconds: float) -> None:
    refusals = ", ".join(f"{reason} {number}" for reason, number in report.refusals.most_common())
    print(f"histories   {report.histories}, seeds {first} to {first + report.histories - 1}")
    print(f"time        {seconds:.1f} s, of {report.seconds / 3600:.1f} simulated hours")
    print(f"packets     {report.packets} received")
    print(f"recoveries  {report.recoveries}")
    print(f"refusals    {report.refusals.total()}: {refusals or 'none'}")
    print(f"failed      {len(report.failed)}")
    for seed, kinds in report.failed.items():
        print(f"  seed {seed}: {', '.join(kinds)}")


def _tell_story(seed: int) -> None:
    plan = shrink(make_plan(seed))
    print(f"\n{plan}")
    for problem in run(plan).problems[:5]:
        print(f"  ! {problem}")


if __name__ == "__main__":
    sys.exit(main())
