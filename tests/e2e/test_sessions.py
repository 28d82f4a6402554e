"""Session data: given back with the session, from whichever process it was saved."""

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster, ServerError

pytestmark = pytest.mark.colours


@pytest.mark.core
async def test_a_client_gets_its_data_back(cluster: Cluster) -> None:
    client = await cluster.client()
    data = {"user": "ann", "deep": {"list": [1, None, b"\x00"]}}
    await cluster.first.save_session(client.sid, data)
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == data


async def test_data_edited_in_a_with_block_comes_back(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.run(
        steps.edit_session(client.sid, {"a": 1, "b": 1}), steps.edit_session(client.sid, {"b": 2})
    )
    await client.drop("abrupt")
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == {"a": 1, "b": 2}
    await cluster.last.run(steps.edit_session(client.sid, {"c": 3}))
    await client.drop("abrupt")
    await cluster.come_back(client, cluster.first)
    assert await cluster.first.get_session(client.sid) == {"a": 1, "b": 2, "c": 3}


async def test_data_saved_in_the_connect_handler_comes_back(cluster: Cluster) -> None:
    for server in cluster.servers:
        await server.behave("connect", steps.edit_session(steps.SID, {"user": "ann"}))
    client = await cluster.client()
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == {"user": "ann"}


async def test_each_namespace_has_its_own_data(cluster: Cluster) -> None:
    main = await cluster.client()
    chat = await cluster.client(namespace="/chat", share=main)
    await cluster.first.save_session(main.sid, {"in": "main"})
    await cluster.first.save_session(chat.sid, {"in": "chat"}, namespace="/chat")
    await main.drop()
    mark = len(chat.history)
    await cluster.come_back(main)
    await chat.wait_connected(after=mark)
    assert await cluster.last.get_session(main.sid) == {"in": "main"}
    assert await cluster.last.get_session(chat.sid, namespace="/chat") == {"in": "chat"}


async def test_a_fresh_session_has_no_data(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.save_session(client.sid, {"user": "ann"})
    await client.disconnect()
    await client.reconnect(cluster.last.url)
    assert await cluster.last.get_session(client.sid) == {}


async def test_data_saved_while_the_disconnect_handler_runs_comes_back(cluster: Cluster) -> None:
    """Saving what a user leaves behind is what disconnect handlers are for."""
    await cluster.first.behave("disconnect", steps.edit_session(steps.SID, {"left": "at noon"}))
    client = await cluster.client()
    await client.drop()
    await cluster.first.wait_log("disconnect-done", client.sid)
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == {"left": "at noon"}


@pytest.mark.core
async def test_data_is_read_and_written_from_another_process(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.save_session(client.sid, {"a": 1})
    assert await cluster.last.get_session(client.sid) == {"a": 1}
    await cluster.last.save_session(client.sid, {"a": 2})
    await cluster.settle(client)
    assert await cluster.first.get_session(client.sid) == {"a": 2}
    await cluster.last.run(steps.edit_session(client.sid, {"b": 3}))
    await cluster.settle(client)
    assert await cluster.first.get_session(client.sid) == {"a": 2, "b": 3}
    await client.drop()
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == {"a": 2, "b": 3}


@pytest.mark.core
async def test_data_that_cannot_be_stored_is_an_error_at_once_and_nothing_is_lost(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.first.save_session(client.sid, {"user": "ann"})
    with pytest.raises(ServerError) as caught:
        await cluster.first.save_session(client.sid, {"$unencodable": True})
    assert caught.value.kind == "EncodingError"
    assert "TypeError" in caught.value.bases
    assert await cluster.first.get_session(client.sid) == {"user": "ann"}
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.come_back(client)
    assert await cluster.last.get_session(client.sid) == {"user": "ann"}
    assert await client.events(1) == [1]


async def test_a_packet_that_cannot_be_stored_is_an_error_at_once_and_nothing_is_lost(
    cluster: Cluster,
) -> None:
    client = await cluster.client()
    with pytest.raises(ServerError) as caught:
        await cluster.first.emit("e", {"$unencodable": True})
    assert "TypeError" in caught.value.bases
    await cluster.first.emit("e", 1)
    assert await client.events(1) == [1]
