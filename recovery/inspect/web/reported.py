"""What servers report of themselves: recoveries by outcome, and how far their readers lag.

A store has sessions and a stream, and neither tells of a refusal or of a reader: the servers are asked, where
the store is live. What nobody reports is shown as not known.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recovery.aio.roll_call import Roll
from recovery.errors import StoreError
from recovery.peers import ServerRecord
from recovery.records import ServerId

__all__ = ["Reported", "reported_by"]


@dataclass(frozen=True, slots=True)
class Reported:
    """What all servers say.

    Attributes:
        outcomes: how often each outcome ("recovered", or a reason) came; None if nobody says.
        servers: those that said something.
    """

    outcomes: Mapping[str, int] | None
    servers: Mapping[ServerId, ServerRecord]


def reported_by(ask: Callable[[], Roll] | None) -> Reported:
    """What the servers report; nothing, where they cannot be asked."""
    try:
        servers = () if ask is None else ask().servers
    except StoreError:  # no right to use channels, for one
        servers = ()
    counts = [each.outcomes for each in servers if each.outcomes is not None]
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return Reported(total if counts else None, {each.server: each for each in servers})
