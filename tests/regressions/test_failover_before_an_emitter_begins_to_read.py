"""A server that had only emitted so far, and began to read after a failover, told nobody what was lost.

It opened the stream at its end, and took that for the last entry that it knew of.
"""

from recovery.reasons import Reason
from recovery.testing import SimulatedCluster, check


def test_a_server_that_begins_to_read_looks_for_what_it_has_published() -> None:
    with SimulatedCluster(servers=2) as cluster:
        anna = cluster.client("anna", returns=True)
        assert cluster.connect(anna, "s1")
        cluster.drop(anna, "silent")
        cluster.advance(0.1)
        cluster.stop_replication()
        cluster.partition("s1", 0.1, refused=True)  # it does not read the packet
        cluster.leave_room("s2", anna, "red")  # as a process does that only emits
        cluster.fail_over(0.01)
        cluster.advance(0.2)
        cluster.emit("s1")

        assert cluster.connect(anna, "s2")
        cluster.advance(20.0)
        assert list(cluster.losses.end(cluster.time)) == []
        assert cluster.recorder.attempts[-1].reason is Reason.EPOCH_CHANGED
        assert cluster.settle()
        assert check(cluster.history) == []
