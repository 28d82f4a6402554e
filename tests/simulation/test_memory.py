"""A history leaves nothing behind in the process that simulated it: its servers are collected."""

import asyncio
import gc
from weakref import WeakSet

from recovery.testing.planning import make_plan
from recovery.testing.plans import run


def test_nothing_is_left_of_a_history() -> None:
    known: WeakSet[object] = vars(asyncio.tasks)["_all_tasks"]  # of all loops, the closed ones too
    gc.collect()
    before = set(map(id, known))
    for seed in range(3):
        run(make_plan(seed))
    gc.collect()
    assert [task for task in known if id(task) not in before] == []
