"""For each reason, how a client comes to be refused for it: what befell the store, what it presents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recovery.reasons import Reason
from recovery.records import Pid
from tests.inspect.recording import KEYS, Recorded

__all__ = ["CASES", "Case", "presented"]

Befalls = Callable[[Any, Recorded], None]  # with a client of redis-py, of no common type


def _nothing(client: Any, recorded: Recorded) -> None:
    pass


def _trim(client: Any, recorded: Recorded) -> None:
    client.xtrim(KEYS.stream, maxlen=2, approximate=False)


def _renew(client: Any, recorded: Recorded) -> None:
    client.hset(KEYS.epoch, "id", "0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Case:
    """A refusal.

    Attributes:
        client: who comes back.
        offset: what it presents: an offset, "own" for the one that it has, or "none".
        options: that make the difference.
        befalls: what happened to the store before.
        pid: what it presents in place of its own.
    """

    client: str = "ann"
    offset: str = "own"
    options: tuple[str, ...] = ()
    befalls: Befalls = _nothing
    pid: Pid | None = None


CASES: Mapping[Reason | None, Case] = {
    None: Case(),
    Reason.SESSION_UNKNOWN: Case(offset="none", pid=Pid("nobody-was-given-this-one")),
    Reason.SESSION_EXPIRED: Case("gus", "none"),
    Reason.DISCONNECTED: Case("dan", "none"),
    Reason.MALFORMED: Case(offset="1700000000000"),
    Reason.OFFSET_TRIMMED: Case(befalls=_trim),
    Reason.OFFSET_UNKNOWN: Case(offset="1999999999999-0"),
    Reason.EPOCH_CHANGED: Case(befalls=_renew),
    Reason.NAMESPACE_MISMATCH: Case(options=("--namespace", "/chat")),
    Reason.IDENTITY_MISMATCH: Case(options=("--identity", "0123")),
    Reason.REPLAY_TOO_LARGE: Case(options=("--set", "max_replay=3")),
}
"""A case for each reason that `why` can tell; None is a recovery."""


def presented(case: Case, recorded: Recorded) -> tuple[str, str]:
    """The pid and the offset that the client presents."""
    left = recorded[case.client]
    offset = (left.offset or "none") if case.offset == "own" else case.offset
    return case.pid or left.pid, offset
