"""Whatever a client presents that does not fit: a fresh session, the reason known, nothing destroyed."""

import re
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Server, real_time_passes
from tests.e2e.conftest import OpenCluster
from tests.e2e.js_clients import Connected, JsClient
from tests.e2e.wire import Json
from tests.waiting import async_wait_until

pytestmark = pytest.mark.colours

MALFORMED_PIDS: dict[str, Json] = {
    "number": 42,
    "list": [],
    "dict": {"pid": "x"},
    "true": True,
    "empty": "",
    "huge": "x" * 100_000,
    "path": "../../etc",
    "control": "a\x00b\r\nc" * 4,
    "binary": b"\x00\x01\x02\x03" * 4,
    "not_ascii": "ü" * 20,
}
MALFORMED_OFFSETS: dict[str, Json] = {
    "number": 12,
    "list": ["1-0"],
    "dict": {},
    "false": False,
    "text": "abc",
    "empty": "",
    "half": "1-",
    "negative": "-1-1",
    "space": " 1-1",
    "over_64_bits": f"{2**64}-0",
    "huge": "9" * 100_000 + "-0",
    "special": "$",
    "not_ascii": "\u0661-\u0660",  # digits, but not of ASCII
}


async def _knock(cluster: Cluster, auth: Json, **options: Any) -> tuple[JsClient, dict[str, Json]]:
    """Connect somebody who presents `auth`, and return what the handler learned of it."""
    client = await cluster.client(cluster.last, auth=auth, **options)
    line = (await cluster.last.wait_log("connect", client.sid))[-1]
    record: dict[str, Json] = line["environ_recovery"]
    return client, record


def _offset_of(client: JsClient) -> str:
    offset = client.received()[-1].offset
    assert offset is not None
    return offset


async def _absent(cluster: Cluster, **options: Any) -> JsClient:
    """A client that received a packet, dropped, and missed another one."""
    client = await cluster.client(**options)
    await cluster.first.emit("e", 1, namespace=client.namespace)
    await client.events(1)
    await client.drop()
    await cluster.last.emit("e", 2, namespace=client.namespace)
    return client


@pytest.mark.core
async def test_a_malformed_pid_gets_a_fresh_session(cluster: Cluster) -> None:
    for name, pid in MALFORMED_PIDS.items():
        client, record = await _knock(cluster, {"pid": pid, "offset": "1-0", "user": "ann"})
        assert (record["recovered"], record["reason"]) == (False, "malformed"), name
        assert not client.last.recovered, name
        assert (await cluster.last.log("connect", client.sid))[0]["auth"] == {"user": "ann"}, name
        await cluster.last.emit("e", name, to=client.sid)
        assert await client.events(1) == [name]


@pytest.mark.core
async def test_a_malformed_offset_gets_a_fresh_session_and_the_old_one_survives(cluster: Cluster) -> None:
    absent = await _absent(cluster)
    for name, offset in MALFORMED_OFFSETS.items():
        stranger, record = await _knock(cluster, {"pid": absent.pid, "offset": offset})
        assert (record["recovered"], record["reason"]) == (False, "malformed"), name
        assert stranger.sid != absent.sid, name
        assert stranger.pid != absent.pid, name
        assert stranger.payloads() == [], name
    await cluster.come_back(absent)
    assert await absent.events(2) == [1, 2]


@pytest.mark.core
async def test_an_unknown_pid_gets_a_fresh_session(cluster: Cluster) -> None:
    _, record = await _knock(cluster, {"pid": "x" * 32, "offset": "1-0"})
    assert (record["recovered"], record["reason"]) == (False, "session-unknown")


async def test_no_pid_is_no_request(cluster: Cluster) -> None:
    for auth in (None, {}, {"user": "ann"}, "a string", ["a", "list"], {"pid": None, "offset": None}):
        _, record = await _knock(cluster, auth)
        assert (record["recovered"], record["reason"]) == (False, None), auth


@pytest.mark.core
async def test_a_pid_of_another_namespace_is_refused_and_its_session_survives(cluster: Cluster) -> None:
    absent = await _absent(cluster, namespace="/chat")
    auth = {"pid": absent.pid, "offset": _offset_of(absent)}
    stranger, record = await _knock(cluster, auth)
    assert (record["recovered"], record["reason"]) == (False, "namespace-mismatch")
    assert stranger.sid != absent.sid
    await cluster.come_back(absent)
    assert await absent.events(2) == [1, 2]


@pytest.mark.core
@pytest.mark.parametrize("offset", [f"{2**63}-0", f"{2**64 - 1}-{2**64 - 1}"])
async def test_an_offset_beyond_the_end_is_refused_and_the_session_survives(
    cluster: Cluster, offset: str
) -> None:
    absent = await _absent(cluster)
    _, record = await _knock(cluster, {"pid": absent.pid, "offset": offset})
    assert (record["recovered"], record["reason"]) == (False, "offset-unknown")
    await cluster.come_back(absent)
    assert await absent.events(2) == [1, 2]


@pytest.mark.core
async def test_an_expired_session_is_not_recovered(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster({"max_disconnection_duration": 0.5})
    client = await cluster.client()
    await client.drop()
    await cluster.first.wait_log("disconnect-done", client.sid)
    await real_time_passes(0.75)  # it stays known for as long again
    await client.reconnect(cluster.last.url)
    assert (await _record(cluster.last, client))["reason"] == "session-expired"


@pytest.mark.core
async def test_another_users_pid_is_refused_and_the_session_survives(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(identify_by="user")
    absent = await _absent(cluster, auth={"user": "ann"})
    auth = {"pid": absent.pid, "offset": _offset_of(absent), "user": "bob"}
    thief, record = await _knock(cluster, auth)
    assert (record["recovered"], record["reason"]) == (False, "identity-mismatch")
    assert thief.sid != absent.sid
    await cluster.come_back(absent)
    assert await absent.events(2) == [1, 2]
    assert thief.payloads() == []


async def test_a_replay_that_is_too_large_is_refused_whole(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster({"max_replay": 20, "max_client_buffer": 10})
    client = await cluster.client()
    await client.drop()
    await cluster.last.emit_numbers("e", range(50))
    await client.reconnect(cluster.last.url)
    assert (await _record(cluster.last, client))["reason"] == "replay-too-large"
    await cluster.settle(client)
    assert client.payloads() == []


@pytest.mark.core
@pytest.mark.topologies("valkey-1", "valkey-2", "redis62-2", "redis70-2")
async def test_a_session_whose_packets_were_trimmed_is_refused_whole(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster({"max_len": 150, "log_max_entries": 5})
    cluster.expected_errors.append("max_len")
    client = await cluster.client()
    await cluster.first.emit("e", 1)
    await client.events(1)
    await client.drop()
    await cluster.last.emit_numbers("other", range(600), to="others")
    await client.reconnect(cluster.last.url)
    assert (await _record(cluster.last, client))["reason"] == "offset-trimmed"
    await cluster.settle(client)
    assert client.payloads() == [1]


@pytest.mark.core
@pytest.mark.parametrize("attempts", [2, 8])
async def test_a_session_is_recovered_at_most_once_when_several_present_its_pid(
    cluster: Cluster, attempts: int
) -> None:
    """Whoever claims last owns the session; nobody else goes on under its sid."""
    absent = await _absent(cluster)
    sid, auth = absent.sid, {"pid": absent.pid, "offset": _offset_of(absent)}
    rivals = [
        await cluster.open_client(cluster.servers[number % len(cluster.servers)], auth=auth)
        for number in range(attempts)
    ]

    for rival in rivals:
        await rival.until(lambda r=rival: bool(r.history), "any answer")  # type: ignore[misc]  # bound per turn

    async def holders() -> list[JsClient]:
        return [rival for rival in rivals if (await rival.state())["sid"] == sid]

    async def settled() -> bool:
        return len(await holders()) <= 1

    await async_wait_until(settled, what="at most one owner")
    await cluster.last.emit("e", 3, to=sid)
    for holder in await holders():
        await holder.until_payload("e", 3)
        assert holder.payloads("e") == [2, 3]


async def _record(server: Server, client: JsClient) -> dict[str, Json]:
    """The outcome for a client that must not have been recovered."""
    assert isinstance(client.last, Connected)
    assert not client.last.recovered
    record = await server.recovery(client.sid)
    assert record["recovered"] is False
    assert re.fullmatch("[a-z-]+", record["reason"])
    return record
