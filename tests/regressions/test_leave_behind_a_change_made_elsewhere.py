"""A room that a client left right after moving to another server stayed its room.

A change of rooms counts from the server's `edge`. The old server was ahead (it had published), and had noted
"entered" at an offset that the new server had not read yet; "left" was then noted *before* it.
"""

from recovery.core.decision import Presented
from recovery.stores.memory import MemoryState
from tests.unit.builders import Client
from tests.unit.hosts import Host


def test_leaving_a_room_on_the_new_server_comes_after_entering_it_on_the_old_one() -> None:
    state = MemoryState()
    old, new = Host(state, "old"), Host(state, "new")
    connection = old.connect()
    old.event("emitted before entering")  # not read yet by any server
    old.enter(connection, "room")
    old.drop(connection)
    client = Client()

    moved = new.connect(Presented(connection.pid), client=client)
    assert moved.recovery.recovered
    new.leave(moved, "room")
    new.event("secret", "room")
    new.read()

    assert not moved.membership.is_in("room")
    assert "secret" not in client.events
