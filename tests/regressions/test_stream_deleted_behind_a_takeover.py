"""A stream was deleted while a client was being taken over, and the client was told that the store was away.

The entry of the takeover was gone before its server's reader had come to it. The reader waited for entries,
found nothing odd in that there were none, and looked at the stream again only when it does so anyway: too
late for a client that waits until this entry is read.
"""

from recovery.reasons import Reason
from recovery.testing import SimulatedCluster


def test_a_server_whose_own_entry_does_not_come_finds_that_the_stream_is_gone() -> None:
    with SimulatedCluster(servers=2, seed=1) as cluster:
        anna = cluster.client("anna")
        assert cluster.connect(anna, "s2")
        cluster.advance(0.1)
        cluster.freeze("s2", 30.0)  # or it would notice, and tell
        cluster.lag("s1", 0.5)
        cluster.emit("s1")
        cluster.dial(anna, "s1")
        cluster.advance(0.2)
        cluster.delete_stream()
        cluster.loop.run_until(lambda: anna.connected, patience=10.0)

        assert cluster.recorder.attempts[-1].reason is Reason.EPOCH_CHANGED
        assert cluster.time < 3.5  # it waits for 2 s where there is nothing to read
