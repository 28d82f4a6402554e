"""Comparison: what is different between two sources, a morning's snapshot and the live store, say.

Sessions are known by their pids. What a checkpoint moves without anything having happened (the deadline) is
not compared. Memory: some hundred bytes for each session of the first source, and the sessions that differ.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recovery.inspect.listing import find_sessions
from recovery.inspect.records import Session
from recovery.inspect.sources import Source
from recovery.records import Pid, Sid

__all__ = ["Difference", "DifferenceKind", "StreamDifference", "compare_sessions", "compare_streams"]


class DifferenceKind(StrEnum):
    """What became of a session from the first source to the second."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A session that is not in both, or not the same.

    >>> Difference(DifferenceKind.GONE, Pid("p1"), Sid("1SYf")).kind.value
    'gone'

    Attributes:
        changes: what it had in the first and has in the second, by name; empty unless it has changed.
    """

    kind: DifferenceKind
    pid: Pid = field(repr=False)
    sid: Sid | None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])


@dataclass(frozen=True, slots=True)
class StreamDifference:
    """What the streams have, by name: the value in the first, and in the second."""

    values: Mapping[str, tuple[Any, Any]]

    @property
    def is_any(self) -> bool:
        """Whether there is a difference."""
        return any(first != second for first, second in self.values.values())


def compare_sessions(first: Source, second: Source) -> Iterator[Difference]:
    """The sessions that differ; reads the first source twice, the second once.

    Example::

        for difference in compare_sessions(open_source("morning.snapshot"), open_source("redis://localhost")):
            print(difference.kind, difference.sid, difference.changes)
    """
    digests = {each.pid: _digest(each) for each in find_sessions(first)}
    changed: dict[Pid, Session] = {}
    for session in find_sessions(second):
        digest = digests.pop(session.pid, None)
        if digest is None:
            yield Difference(DifferenceKind.NEW, session.pid, session.sid)
        elif digest != _digest(session):
            changed[session.pid] = session
    for session in find_sessions(first) if digests or changed else ():
        if session.pid in digests:
            yield Difference(DifferenceKind.GONE, session.pid, session.sid)
        elif session.pid in changed:
            yield _change(session, changed[session.pid])


def compare_streams(first: Source, second: Source) -> StreamDifference:
    """Both ends, the epochs and the lengths of two streams.

    Example::

        compare_streams(open_source("morning.snapshot"), open_source("redis://localhost")).is_any
    """
    here, there = first.stream(), second.stream()
    states = {
        "epoch": (here and here.epoch, there and there.epoch),
        "oldest": (here and str(here.first), there and str(there.first)),
        "newest": (here and str(here.last), there and str(there.last)),
    }
    return StreamDifference({**states, "entries": (first.length(), second.length())})


def _change(before: Session, after: Session) -> Difference:
    old, new = _compared(before), _compared(after)
    changes = {name: (old[name], new[name]) for name in old if old[name] != new[name]}
    return Difference(DifferenceKind.CHANGED, after.pid, after.sid or before.sid, changes)


def _compared(session: Session) -> dict[str, Any]:
    return {
        "state": session.state.value,
        "namespace": session.namespace,
        "rooms": sorted(map(str, session.rooms)),
        "data": dict(session.data),
        "holder": session.holder,
        "claim": session.number,
        "proven": str(session.proven),
        "epoch": session.epoch,
        "identity": session.identity,
        "problem": session.problem,
    }


def _digest(session: Session) -> bytes:
    return hashlib.blake2b(repr(_compared(session)).encode(errors="replace"), digest_size=16).digest()
