"""A client was recovered between a failover that lost writes and the moment at which its server told so.

A claim asks whether the last entry known is still there. The stream was deleted after the failover, so that
there was none before it either, which passed for trimming.
"""

from recovery.reasons import Reason
from recovery.testing import SimulatedCluster, check


def test_nobody_is_recovered_where_the_stream_is_gone() -> None:
    with SimulatedCluster(servers=1) as cluster:
        anna = cluster.client("anna")
        assert cluster.connect(anna, "s1")
        cluster.advance(0.1)
        cluster.stop_replication()
        cluster.emit("s1")
        cluster.advance(0.1)
        cluster.fail_over(0.001)
        cluster.delete_stream()
        cluster.drop(anna)
        assert cluster.connect(anna, "s1")  # the reader comes back a little later

        assert cluster.recorder.attempts[-1].reason is Reason.EPOCH_CHANGED
        assert cluster.settle()
        assert check(cluster.history) == []
