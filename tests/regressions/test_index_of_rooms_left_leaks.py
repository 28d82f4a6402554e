"""A recovered connection stayed for ever in the index of a room that it had left before.

It was indexed under the rooms of its whole history; once that history was settled away, its end no longer
knew the room, and the index kept the connection, one for each recovery.
"""

from recovery.core.decision import Presented
from recovery.stores.memory import MemoryState
from tests.unit.hosts import Host


def test_a_connection_that_ended_is_in_no_index() -> None:
    host = Host(MemoryState())
    first = host.connect()
    host.enter(first, "room")
    host.event("one")
    host.read()
    host.leave(first, "room")
    host.drop(first)
    second = host.connect(Presented(first.pid))
    assert second.recovery.recovered

    host.event("two")
    host.read()
    second.note(host.dispatcher.position)
    assert second.prove()
    host.save(second)  # what is settled is forgotten
    host.drop(second)

    assert not host.dispatcher._members
