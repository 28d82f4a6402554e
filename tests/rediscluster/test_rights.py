"""What a user needs on the nodes of a cluster besides the rights for a single server: all of it."""

from collections.abc import Iterator, Sequence

import pytest

from recovery.channels import HasChannels
from recovery.commands import Appended, Claimed, Read, Saved
from recovery.errors import StoreError
from recovery.offsets import ORIGIN
from recovery.records import Epoch
from recovery.stores import open_async_store
from tests.clusters import RealCluster
from tests.contract.builders import append, claim, save
from tests.contract.subject import KEYS
from tests.rediscluster.test_redirections import SLOT, other
from tests.rights import PASSWORD, documented

MORE = documented("acl-nodes")
NAMES = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}


@pytest.fixture
def nodes(own_cluster: RealCluster) -> Iterator[RealCluster]:
    """A cluster on whose nodes the test makes a user."""
    yield own_cluster
    for node in own_cluster.nodes:
        node.client.execute_command("ACL", "DELUSER", "recovery")


def allow(cluster: RealCluster, words: Sequence[str]) -> str:
    """Make the user on each node; return the URL for it."""
    for node in cluster.nodes:
        node.client.execute_command(*documented("acl", "acl-expiry", "acl-cluster"), *words)
    return cluster.url.replace("://", f"://recovery:{PASSWORD}@")


async def use(url: str, cluster: RealCluster) -> None:
    """Do what a server does, while the stream is on its way to another node."""
    store = open_async_store(url, **NAMES)
    assert isinstance(store, HasChannels)
    channels = store.open_channels(lambda _: None, sharded=False, silence=10, failed=lambda _: None)
    try:
        assert isinstance(await store.execute(append(b"a")), Appended)
        assert await store.execute(save(create=True)) == Saved()
        assert isinstance(await store.execute(claim(epoch=Epoch("e"))), Claimed)
        target = other(cluster, cluster.owner_of(SLOT))
        source = cluster.begin_move(SLOT, target)
        cluster.move_keys(SLOT, source, target, cluster.keys_in(SLOT, source))
        try:
            assert len(await store.execute(Read(ORIGIN, 10, 0))) == 2
        finally:
            cluster.end_move(SLOT, source, target)
        await channels.subscribe("socket.io#/#")
        assert await channels.publish("socket.io#/#", b"x") == 1
    finally:
        await channels.close()
        await store.close()


async def test_everything_works_with_the_rights_of_the_page(nodes: RealCluster) -> None:
    await use(allow(nodes, MORE), nodes)


@pytest.mark.parametrize("right", MORE)
async def test_each_right_is_needed(nodes: RealCluster, right: str) -> None:
    with pytest.raises(StoreError):
        await use(allow(nodes, [word for word in MORE if word != right]), nodes)
