"""Every form of emit, send and call: delivered while connected, given back after an absence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tests.e2e import steps
from tests.e2e.cluster import Cluster, ServerError
from tests.e2e.conftest import OpenCluster
from tests.e2e.js_clients import JsClient
from tests.e2e.steps import Step
from tests.e2e.wire import Json

pytestmark = pytest.mark.colours


@dataclass(frozen=True, slots=True)
class People:
    """Three clients: Ann is in the rooms red and blue, Bob in red, Carl in none."""

    ann: JsClient
    bob: JsClient
    carl: JsClient

    def everybody(self) -> Sequence[JsClient]:
        return (self.ann, self.bob, self.carl)


Form = Callable[[People, int], Step]

AUDIENCES: dict[str, tuple[Form, set[str]]] = {
    "to_all": (lambda p, n: steps.emit("e", n), {"ann", "bob", "carl"}),
    "to_a_sid": (lambda p, n: steps.emit("e", n, to=p.ann.sid), {"ann"}),
    "to_a_room": (lambda p, n: steps.emit("e", n, to="red"), {"ann", "bob"}),
    "to_a_room_by_the_other_name": (lambda p, n: steps.emit("e", n, room="red"), {"ann", "bob"}),
    "to_a_list_of_rooms": (lambda p, n: steps.emit("e", n, to=["red", "blue"]), {"ann", "bob"}),
    "to_a_list_with_a_sid": (lambda p, n: steps.emit("e", n, to=[p.ann.sid, p.carl.sid]), {"ann", "carl"}),
    "skipping_a_sid": (lambda p, n: steps.emit("e", n, skip_sid=p.bob.sid), {"ann", "carl"}),
    "skipping_several": (lambda p, n: steps.emit("e", n, skip_sid=[p.bob.sid, p.carl.sid]), {"ann"}),
    "skipping_in_a_room": (lambda p, n: steps.emit("e", n, to="red", skip_sid=p.ann.sid), {"bob"}),
    "to_an_empty_room": (lambda p, n: steps.emit("e", n, to="nowhere"), set()),
    "sent": (lambda p, n: steps.send(n), {"ann", "bob", "carl"}),
    "sent_to_a_room": (lambda p, n: steps.send(n, to="red", skip_sid=p.bob.sid), {"ann"}),
}

DATA: dict[str, tuple[Json, Json]] = {
    "text": ("news", "news"),
    "number": (1.5, 1.5),
    "none": (None, ()),
    "tuple": (("a", 2, None), ("a", 2, None)),
    "tuple_of_one": (("a",), "a"),
    "empty_tuple": ((), ()),
    "list": (["a", 2], ["a", 2]),
    "dict": ({"a": {"b": [True, None]}}, {"a": {"b": [True, None]}}),
    "bytes": (b"\x00\xff", b"\x00\xff"),
    "deep_bytes": ({"a": [{"b": b"\x01"}, b""]}, {"a": [{"b": b"\x01"}, b""]}),
    "tuple_with_bytes": ((b"\x01", {"b": b"\x02"}), (b"\x01", {"b": b"\x02"})),
    "text_like_a_number": ("17-3x", "17-3x"),
    "unicode": ("grüße \u2028 🎈", "grüße \u2028 🎈"),
}


async def gather(cluster: Cluster) -> People:
    people = People(*[await cluster.client(name=name) for name in ("ann", "bob", "carl")])
    await cluster.first.enter_room(people.ann.sid, "red")
    await cluster.first.enter_room(people.ann.sid, "blue")
    await cluster.first.enter_room(people.bob.sid, "red")
    return people


@pytest.mark.parametrize("form", AUDIENCES)
async def test_those_addressed_get_it_once_now_and_later(cluster: Cluster, form: str) -> None:
    build, audience = AUDIENCES[form]
    people = await gather(cluster)
    await cluster.first.run(build(people, 1))
    await cluster.settle(*people.everybody())
    for client in people.everybody():
        await client.drop()
    await cluster.last.run(build(people, 2))
    await cluster.first.run(build(people, 3))
    for client in people.everybody():
        await cluster.come_back(client)
    await cluster.settle(*people.everybody())
    got = {client.name: client.payloads() for client in people.everybody()}
    assert got == {name: [1, 2, 3] if name in audience else [] for name in ("ann", "bob", "carl")}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_data_arrives_as_it_was_sent_now_and_later(cluster: Cluster, transport: str) -> None:
    client = await cluster.client(transports=[transport])
    await cluster.last.run(*(steps.emit(name, data) for name, (data, _) in DATA.items()))
    await client.events(len(DATA))
    await client.drop()
    await cluster.last.run(*(steps.emit(name, data) for name, (data, _) in DATA.items()))
    await cluster.come_back(client)
    await client.events(2 * len(DATA))
    once = [(name, expected) for name, (_, expected) in DATA.items()]
    got = [(item.event, item.args[0] if len(item.args) == 1 else item.args) for item in client.received()]
    assert got == once + once


async def test_every_recoverable_packet_carries_an_offset(cluster: Cluster) -> None:
    client = await cluster.client()
    await cluster.last.emit_numbers("e", [1, 2])
    await client.events(2)
    await client.drop()
    await cluster.last.emit_numbers("e", [3, 4])
    await cluster.come_back(client)
    await client.events(4)
    offsets = [item.offset for item in client.received()]
    assert None not in offsets
    assert len(set(offsets)) == 4
    assert (await client.state())["lastOffset"] == offsets[-1]


@pytest.mark.parametrize("namespace", ["/chat", "/klass", "/quiet"])
async def test_other_namespaces_recover_like_the_main_one(cluster: Cluster, namespace: str) -> None:
    client = await cluster.client(namespace=namespace)
    main = await cluster.client()
    await cluster.first.enter_room(client.sid, "red", namespace=namespace)
    await client.drop()
    await cluster.last.emit("e", 1, namespace=namespace)
    await cluster.last.emit("e", 2, namespace=namespace, to="red")
    await cluster.last.emit("e", 3)
    await cluster.come_back(client)
    await cluster.settle(client, main)
    assert client.payloads() == [1, 2]
    assert main.payloads() == [3]


async def test_a_class_based_namespace_emits_and_sends(cluster: Cluster) -> None:
    client = await cluster.client(namespace="/klass")
    await client.drop()
    await cluster.last.run(
        steps.namespace_method("/klass", "emit", "e", 1),
        steps.namespace_method("/klass", "send", 2),
        steps.namespace_method("/klass", "emit", "e", 3, to=client.sid),
    )
    await cluster.come_back(client)
    assert await client.events(3) == [1, 2, 3]


async def test_two_namespaces_of_one_connection_recover_together(cluster: Cluster) -> None:
    main = await cluster.client()
    chat = await cluster.client(namespace="/chat", share=main)
    await main.drop()
    await cluster.last.emit("e", 1)
    await cluster.last.emit("e", 2, namespace="/chat")
    mark = len(chat.history)
    await cluster.come_back(main)  # JavaScript reconnects all sockets of a connection
    assert (await chat.wait_connected(after=mark)).recovered
    assert await main.events(1) == [1]
    assert await chat.events(1) == [2]


async def test_a_client_answers_a_callback(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.set_ack(["yes", 1])
    await cluster.last.emit("q", "?", to=client.sid, callback=steps.collect("answers"))
    await client.events(1)
    assert await cluster.last.wait_collected("answers") == [["yes", 1]]
    assert client.received()[0].raw[:-1] == ("?",)  # what follows is JavaScript's callback: no offset


@pytest.mark.core
async def test_call_returns_the_clients_answer_from_any_process(cluster: Cluster) -> None:
    client = await cluster.client()
    for server in cluster.servers:
        assert await server.call("q", ("a", {"b": b"\x01"}), to=client.sid) == ("a", {"b": b"\x01"})
        assert await server.call("q", "a", sid=client.sid) == "a"
        assert await server.call("q", to=client.sid) is None


async def test_a_packet_with_a_callback_is_never_replayed(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.last.emit("q", "?", to=client.sid, callback=steps.collect("answers"))
    with pytest.raises(ServerError) as caught:
        await cluster.last.call("q", "?", to=client.sid, timeout=0.05)
    assert caught.value.kind == "TimeoutError"
    await cluster.last.emit("e", 2)
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [1, 2]
    assert await cluster.last.collected("answers") == []


async def test_a_client_answers_after_its_recovery(cluster: Cluster) -> None:
    client = await cluster.client()
    await client.drop()
    await cluster.come_back(client)
    for server in cluster.servers:
        assert await server.call("q", "again", to=client.sid) == "again"
    assert await client.call("say", "hello") == ("hello",)


async def test_a_local_emit_reaches_this_processs_clients_and_is_not_replayed(cluster: Cluster) -> None:
    here, there = await cluster.client(cluster.first), await cluster.client(cluster.last)
    await cluster.first.emit("local", "a string", ignore_queue=True)
    await cluster.settle(here, there)
    assert here.payloads() == ["a string"]
    assert there.payloads() == (["a string"] if cluster.last is cluster.first else [])
    await here.drop()
    await cluster.first.emit("local", "missed", ignore_queue=True)
    await cluster.first.emit("e", "kept")
    await cluster.come_back(here)
    await cluster.settle(here)
    assert here.payloads() == ["a string", "kept"]


@pytest.mark.core
async def test_a_volatile_packet_reaches_the_connected_and_is_not_replayed(cluster: Cluster) -> None:
    client, witness = await cluster.client(), await cluster.client(cluster.last)
    await cluster.last.run(steps.emit_volatile("v", "seen"))
    await client.events(1)
    await client.drop()
    await cluster.last.run(steps.emit("e", 1), steps.emit_volatile("v", "missed"), steps.emit("e", 2))
    await cluster.come_back(client)
    await cluster.settle(client, witness)
    assert client.payloads() == ["seen", 1, 2]
    assert witness.payloads() == ["seen", 1, "missed", 2]


async def test_an_event_named_volatile_is_not_replayed(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster({"volatile_events": ["cursor"]})
    client = await cluster.client()
    await cluster.last.emit("cursor", [1, 1])
    await client.events(1)
    await client.drop()
    await cluster.last.emit("cursor", [2, 2])
    await cluster.last.emit("e", "kept")
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads() == [[1, 1], "kept"]


@pytest.mark.parametrize("kind", ["volatile", "local"])
async def test_a_string_at_the_end_of_an_unstored_packet_is_not_taken_for_an_offset(
    cluster: Cluster, kind: str
) -> None:
    client = await cluster.client()
    await cluster.first.emit_numbers("e", [1, 2])
    if kind == "volatile":
        await cluster.first.run(steps.emit_volatile("v", "0-1"))
    else:
        await cluster.first.emit("v", "0-1", ignore_queue=True)
    await client.events(3)
    await client.drop()
    await cluster.last.emit_numbers("e", [3])
    await cluster.come_back(client)
    await cluster.settle(client)
    assert client.payloads("e") == [1, 2, 3]


async def test_msgpack_packets_are_recovered(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(server={"serializer": "msgpack"})
    client = await cluster.client(parser="msgpack")
    await cluster.last.emit("e", {"b": [b"\x01", 1]})
    await client.events(1)
    await client.drop()
    await cluster.last.emit("e", ("two", b"\x02"))
    await cluster.come_back(client)
    assert await client.events(2) == [{"b": [b"\x01", 1]}, ("two", b"\x02")]
    assert await cluster.last.call("q", b"\x03", to=client.sid) == b"\x03"


@pytest.mark.core
async def test_clients_are_recovered_with_always_connect(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(server={"always_connect": True})
    client = await cluster.client()
    await cluster.first.wait_log("connect-done", client.sid)
    await cluster.first.enter_room(client.sid, "red")
    await client.drop()
    await cluster.last.emit("e", 1)
    await cluster.last.emit("e", 2, to="red")
    await cluster.come_back(client)
    await cluster.last.emit("e", 3, to="red")
    await cluster.settle(client)
    assert client.payloads() == [1, 2, 3]


async def test_handlers_that_run_in_order_are_no_obstacle(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(server={"async_handlers": False})
    client = await cluster.client()
    await cluster.first.behave("say", steps.emit("reply", 1, to=steps.SID))
    await client.emit("say")
    await client.events(1)
    await client.drop()
    await cluster.last.emit("e", 2)
    await cluster.come_back(client)
    assert await client.events(2) == [1, 2]
