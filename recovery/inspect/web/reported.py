"""What servers report of themselves: recoveries by outcome, and how far their readers lag.

A store has sessions and a stream, and neither tells of a refusal or of a reader. `reported_by` is the one
place where the page asks; what it answers with None is shown as not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recovery.inspect.sources import Source
from recovery.records import ServerId

__all__ = ["Reported", "ReportedServer", "reported_by"]


@dataclass(frozen=True, slots=True)
class ReportedServer:
    """What a server says of itself.

    Attributes:
        kind: "python" or "node".
        clients: connected to it; None if it does not say.
        lag_ms: how far its reader was behind the stream; None if it does not say.
        said_ms: when.
    """

    kind: str
    clients: int | None
    lag_ms: int | None
    said_ms: int


@dataclass(frozen=True, slots=True)
class Reported:
    """What all servers say.

    Attributes:
        outcomes: how often each outcome ("recovered", or a reason) came; None if nobody counts.
        servers: those that said something.
    """

    outcomes: Mapping[str, int] | None
    servers: Mapping[ServerId, ReportedServer]


def reported_by(source: Source) -> Reported:  # noqa: ARG001 - no server of this release puts this into the store
    """What the servers of a source report: in this release nothing, as none of them writes it down."""
    return Reported(None, {})
