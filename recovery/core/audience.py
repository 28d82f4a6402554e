"""Who is addressed: the one rule by which a packet reaches a client, live, held or replayed.

A client is addressed at an offset when it is in one of the rooms there (no rooms: everyone), and in
none of the excluded ones. "There" means at the packet's own offset, never "now" (promise P4).
"""

from enum import StrEnum

from recovery.core.membership import Membership
from recovery.offsets import Offset
from recovery.records import Audience

__all__ = ["Obstacle", "is_addressed", "why_not_addressed"]


class Obstacle(StrEnum):
    """Why a packet is not for a client."""

    BEFORE_SESSION = "before-session"
    """It was emitted before the client's session began."""
    BEFORE_JOINING = "before-joining"
    """It is for a room that the client entered only afterwards."""
    AFTER_LEAVING = "after-leaving"
    """It is for a room that the client had left by then."""
    OTHER_ROOM = "other-room"
    """It is for rooms that the client was not in, as far as its history is kept."""
    EXCLUDED = "excluded"
    """It is for everybody but a room that the client was in (``skip_sid``)."""


def is_addressed(audience: Audience, membership: Membership, offset: Offset) -> bool:
    """Tell whether a packet at `offset` for `audience` is for the client with this membership."""
    if offset <= membership.start:
        return False
    if audience.rooms and not any(membership.contains(room, offset) for room in audience.rooms):
        return False
    if not audience.excluded:  # nearly always; this is asked for each recipient of each packet
        return True
    return not any(membership.contains(room, offset) for room in audience.excluded)


def why_not_addressed(audience: Audience, membership: Membership, offset: Offset) -> Obstacle | None:
    """Say why a packet is not for the client, in words that follow `is_addressed`; None if it is."""
    if is_addressed(audience, membership, offset):
        return None
    if offset <= membership.start:
        return Obstacle.BEFORE_SESSION
    if not audience.rooms or any(membership.contains(room, offset) for room in audience.rooms):
        return Obstacle.EXCLUDED
    changes = membership.changes()
    named = [change for room in audience.rooms for change in changes.get(room, ())]
    if any(not change.entered and change.offset < offset for change in named):
        return Obstacle.AFTER_LEAVING
    if any(change.entered and change.offset >= offset for change in named):
        return Obstacle.BEFORE_JOINING
    return Obstacle.OTHER_ROOM
