"""Cores: the server under test has one for itself, Redis and the load share the other."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["cpu_seconds", "memory_bytes", "others_core", "pin", "server_core"]

_TICKS = os.sysconf("SC_CLK_TCK")


def server_core() -> int:
    """The core of the server under test."""
    return min(_CORES)


def others_core() -> int:
    """The core of Redis and of the load; the same one where there is no other."""
    return max(_CORES)


def pin(core: int, pid: int = 0) -> None:
    """Keep a process, with all its threads to come, on a core; this one if no pid is given."""
    os.sched_setaffinity(pid, {core})


def cpu_seconds(pids: Sequence[int]) -> float:
    """What processes have used of a core until now, in user and system mode."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def memory_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    fields = (Path("/proc") / str(pid) / "statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _ticks(pid: int) -> int:
    text = (Path("/proc") / str(pid) / "stat").read_text()
    fields = text.rpartition(")")[2].split()  # the name, in brackets, may hold spaces
    return int(fields[11]) + int(fields[12])


_CORES = frozenset(os.sched_getaffinity(0))
