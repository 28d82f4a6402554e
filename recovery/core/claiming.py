"""Who may claim a session: the checks of `recovery.commands.ClaimSession`, over what a store has of it.

The store in memory and the inspector's dry run call this. ``claim.lua`` makes the same checks where the data
lies; the tests of `recovery.inspect` hold the two against each other.
"""

from dataclasses import dataclass, field

from recovery.commands import ClaimRefused, ClaimSession
from recovery.reasons import Reason
from recovery.records import Epoch, HolderState, Namespace

__all__ = ["Standing", "refusal_of_claim"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a store has of a session, as far as a claim is judged by it.

    Attributes:
        state: what the server that last held it said of it.
        deadline_ms: when it expires, on the store's clock.
        size: bytes of its value; None if there is none.
    """

    state: HolderState
    deadline_ms: int
    namespace: Namespace
    identity: str = field(repr=False)
    epoch: Epoch
    size: int | None


def refusal_of_claim(command: ClaimSession, standing: Standing | None, now_ms: int) -> ClaimRefused | None:
    """Say why a session cannot be had, or None; the order of the checks is that of `ClaimSession`.

    Args:
        standing: None if the store has nothing for this pid.
    """
    if standing is None:
        return ClaimRefused(Reason.SESSION_UNKNOWN)
    if standing.state is HolderState.ENDED:
        return ClaimRefused(Reason.DISCONNECTED)
    if standing.size is None or standing.deadline_ms < now_ms:
        return ClaimRefused(Reason.SESSION_EXPIRED)
    if standing.namespace != command.namespace:
        return ClaimRefused(Reason.NAMESPACE_MISMATCH)
    if standing.identity != command.identity:
        return ClaimRefused(Reason.IDENTITY_MISMATCH)
    if standing.epoch != command.epoch:
        return ClaimRefused(Reason.EPOCH_CHANGED)
    if command.max_bytes is not None and standing.size > command.max_bytes:
        return ClaimRefused(
            Reason.SESSION_UNKNOWN, f"the session has {standing.size} bytes, more than max_session_bytes"
        )
    return None
