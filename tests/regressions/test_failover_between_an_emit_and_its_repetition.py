"""An emit that was stored, read and delivered, and lost by a failover before its reply, was delivered twice.

Its repetition named the last entry that its server had known when it was first sent, so that nobody saw that
the stream was short; and from then on the last known entry was the repeated one, which is there.
"""

from recovery.reasons import Reason
from recovery.testing import SimulatedCluster, check
from recovery.testing.storage import Fate


def test_a_repeated_emit_finds_that_it_was_lost() -> None:
    with SimulatedCluster(servers=1) as cluster:
        anna = cluster.client("anna", returns=True)
        assert cluster.connect(anna, "s1")
        cluster.advance(0.1)
        cluster.stop_replication()
        cluster.fail_commands("s1", [Fate.REPLY_LOST])
        packet = cluster.emit("s1", wait=False)
        cluster.loop.run_until(lambda: ["packet", packet] in anna.received, patience=0.01)
        cluster.fail_over(0.005)  # the emit is repeated 0.02 s after it failed, and is the first to come back
        cluster.advance(1.5)

        assert cluster.reunite()
        assert cluster.settle()
        assert cluster.recorder.attempts[-1].reason is Reason.EPOCH_CHANGED
        assert check(cluster.history) == []
