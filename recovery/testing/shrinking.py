"""Shortens a plan that fails, so that its story can be read: a simple "delta debugging" (Zeller, 1999)."""

from collections.abc import Callable
from dataclasses import replace

from recovery.testing.plans import Outcome, Plan, run

__all__ = ["shrink"]


def shrink(plan: Plan, *, run: Callable[[Plan], Outcome] = run, attempts: int = 2000) -> Plan:
    """Leave out steps as long as the plan goes wrong in the same way; the plan itself if it does not.

    Args:
        run: runs a plan; another one may bring an application of its own.
        attempts: runs at most.
    """
    kinds = {problem.kind for problem in run(plan).problems}
    left = attempts

    def fails(shorter: Plan) -> bool:
        nonlocal left
        left -= 1
        return not kinds.isdisjoint(problem.kind for problem in run(shorter).problems)

    size = max(1, len(plan.steps) // 2)
    while left > 0:
        shorter = _without_chunks(plan, size, fails)
        if size == 1 and shorter == plan:
            break
        size, plan = max(1, size // 2), shorter
    return plan


def _without_chunks(plan: Plan, size: int, fails: Callable[[Plan], bool]) -> Plan:
    """Try to leave out each run of so many steps, the last ones first."""
    for start in range(len(plan.steps) - size, -size, -size):
        begin = max(0, start)
        shorter = replace(plan, steps=plan.steps[:begin] + plan.steps[begin + size :])
        if shorter.steps and fails(shorter):
            plan = shorter
    return plan
