"""Who is addressed: the one rule by which a packet reaches a client, live, held or replayed.

A client is addressed at an offset when it is in one of the rooms there (no rooms: everyone), and in
none of the excluded ones. "There" means at the packet's own offset, never "now" (promise P4).
"""

from recovery.core.membership import Membership
from recovery.offsets import Offset
from recovery.records import Audience

__all__ = ["is_addressed"]


def is_addressed(audience: Audience, membership: Membership, offset: Offset) -> bool:
    """Tell whether a packet at `offset` for `audience` is for the client with this membership."""
    if offset <= membership.start:
        return False
    if audience.rooms and not any(membership.contains(room, offset) for room in audience.rooms):
        return False
    return not any(membership.contains(room, offset) for room in audience.excluded)
