"""One packet that cannot be encoded made every recovery that missed it fail, and leaked its connection.

Live clients are spared such a packet (it is skipped and counted). The replay encoded it after the
connection had joined the dispatcher, and the error went through `admit` into the server.
"""

from recovery.core.decision import Presented
from recovery.drafts import Drafts
from recovery.stores.memory import MemoryState
from tests.unit.builders import NSP, UNSENDABLE, Client, audience
from tests.unit.hosts import Host


def test_a_client_recovers_without_the_packet_that_nobody_got() -> None:
    host = Host(MemoryState())
    first = host.connect()
    host.drop(first)
    drafts: Drafts = host.drafts
    host.event("before")
    host.emit(drafts.broadcast(NSP, ["bad", UNSENDABLE], audience()))
    host.event("after")
    host.read()
    client = Client()

    second = host.connect(Presented(first.pid), client=client)

    assert second.recovery.recovered
    assert second.recovery.replayed == 2
    assert client.events == ["before", "after"]
