"""Who is addressed, against a model that walks through all changes for every question."""

from hypothesis import given
from hypothesis import strategies as st

from recovery.core.audience import is_addressed, why_not_addressed
from recovery.core.membership import Membership
from recovery.records import Audience, Sid
from tests.properties.histories import ROOMS, SID, Own, audiences, is_due, rooms_at
from tests.unit.builders import at

own_changes = st.lists(
    st.builds(Own, st.integers(0, 8), st.sampled_from(ROOMS), st.booleans()), max_size=8
).map(lambda changes: sorted(changes, key=lambda change: change.place))


@given(audiences, own_changes, st.integers(0, 4), st.integers(0, 10))
def test_a_packet_is_judged_at_its_own_offset(
    audience: Audience, changes: list[Own], start: int, place: int
) -> None:
    membership = Membership(Sid(SID), at(start))
    for change in changes:
        if change.place >= start:
            act = membership.enter if change.entered else membership.leave
            act(change.room, at(change.place))
    nothing_else = [None] * 20
    inside = rooms_at(nothing_else, place, start=start, own=changes)  # type: ignore[arg-type]  # places without an entry

    assert is_addressed(audience, membership, at(place)) == (place > start and is_due(audience, inside))
    assert (why_not_addressed(audience, membership, at(place)) is None) == is_addressed(
        audience, membership, at(place)
    )
