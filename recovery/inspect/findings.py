"""Findings of a check-up: what was looked at, how bad it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    >>> Finding("memory", Level.FAIL, "9 of 10 bytes are used", "give it memory").level.value
    'fail'

    Attributes:
        check: its name.
        said: what was found.
        todo: what to do, "" for nothing.
    """

    check: str
    level: Level
    said: str
    todo: str = ""
