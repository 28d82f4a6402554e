"""A trace follows a packet from its emit through the stream to its delivery, live or in a replay."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import socketio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from adapter import RecoveryManager
from adapter.tracing import OpenTelemetry
from recovery.core.packets import StoredEntry
from recovery.errors import PublishError
from tests.faults.outage import Outage, until
from tests.hostile.poison import event, fields, inject
from tests.interleavings.harness import World, settle
from tests.waiting import wait_until


class Traced:
    """Spans that were made, by the first word of their names."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self, word: str) -> list[ReadableSpan]:
        """Finished spans, in the order of their ends."""
        return [span for span in self._exporter.get_finished_spans() if span.name.split()[0] == word]


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Where the spans of these tests go."""
    made = Traced()
    yield made
    made.provider.shutdown()


def _context(span: ReadableSpan) -> trace.SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def _said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def _links(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


async def test_a_delivery_on_another_server_belongs_to_the_trace_of_its_emit(
    outage: Outage, traced: Traced
) -> None:
    tracing = OpenTelemetry(traced.provider)
    one, two = outage.direct_node(tracing=tracing), outage.direct_node(tracing=tracing)
    client = await outage.connected(two)
    with traced.provider.get_tracer("application").start_as_current_span("request") as request:
        await one.sio.emit("news", {"secret": "payload"}, room=client.sid)
    await until(lambda: client.got("news"))
    [publish] = traced.spans("publish")
    [deliver] = await until(lambda: traced.spans("deliver"))
    assert (publish.name, deliver.name) == ("publish news", "deliver news")
    assert publish.parent is not None
    assert publish.parent.span_id == request.get_span_context().span_id
    assert _links(deliver) == [_context(publish).span_id]
    assert deliver.parent is not None
    assert deliver.parent.span_id == _context(publish).span_id
    assert _context(deliver).trace_id == request.get_span_context().trace_id
    assert _said(publish)["messaging.message.id"] == _said(deliver)["messaging.message.id"] == client.offset
    assert _said(deliver)["socketio.recipients"] == 1
    assert publish.kind is trace.SpanKind.PRODUCER
    assert deliver.kind is trace.SpanKind.CONSUMER
    assert deliver.start_time is not None
    assert deliver.end_time is not None
    assert publish.start_time is not None
    assert publish.start_time <= deliver.start_time <= deliver.end_time
    for span in (publish, deliver):
        assert "payload" not in str(span.to_json())
        assert client.pid not in str(span.to_json())
        assert client.sid not in str(span.to_json())


async def test_a_recovery_is_linked_to_the_emits_that_it_replays(outage: Outage, traced: Traced) -> None:
    tracing = OpenTelemetry(traced.provider)
    one, two = outage.direct_node(tracing=tracing), outage.direct_node(tracing=tracing)
    client = await outage.connected(one)
    client.cut()
    await settle()
    for number in range(3):
        await two.sio.emit("n", number)
    await outage.connect(client, two)
    await until(lambda: client.got("n") == [0, 1, 2])
    assert traced.spans("deliver") == [], "nobody was there"
    [recover] = traced.spans("recover")
    assert _links(recover) == [_context(span).span_id for span in traced.spans("publish")]
    said = _said(recover)
    assert said.pop("socketio.recovery.offline_for") > 0
    assert said == {
        "socketio.namespace": "/",
        "socketio.recovery.recovered": True,
        "socketio.recovery.replayed": 3,
    }
    assert client.pid not in str(recover.to_json())


async def test_a_refusal_says_its_reason_and_who_does_not_ask_has_no_span(
    world: World, traced: Traced
) -> None:
    server = world.server(tracing=OpenTelemetry(traced.provider))
    client = await world.connected(server)
    assert traced.spans("recover") == []
    client.cut()
    await settle()
    client.sockets["/"].pid = "x" * 32
    await world.connect(client, server)
    [recover] = traced.spans("recover")
    assert _said(recover)["socketio.recovery.reason"] == "session-unknown"
    assert _said(recover)["socketio.recovery.recovered"] is False


async def test_an_emit_that_fails_is_a_span_that_failed(outage: Outage, traced: Traced) -> None:
    node = outage.node(tracing=OpenTelemetry(traced.provider), publish_timeout=0.3)
    await outage.connected(node)
    await outage.kill_redis()
    with pytest.raises(PublishError):
        await node.sio.emit("n", 1)
    await outage.start_redis()
    [publish] = traced.spans("publish")
    assert publish.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in publish.events] == ["exception"]


def _stored(url: str) -> list[dict[str, str]]:
    """The fields of all events in the stream."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        entries: Any = client.xrange("socket.io")
    return [fields for _, fields in entries if fields.get("type") == "3"]


@pytest.mark.parametrize("how", ["off", "unsampled", "on", "too large"])
async def test_an_entry_has_a_field_more_only_when_it_is_traced(outage: Outage, how: str) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF) if how == "unsampled" else TracerProvider()
    options: dict[str, Any] = {} if how == "off" else {"tracing": OpenTelemetry(provider)}
    node = outage.direct_node(max_packet_bytes=1000, **options)
    client = await outage.connected(node)
    data = "x" * 850 if how == "too large" else "x"
    await node.sio.emit("n", data)
    await until(lambda: client.got("n") == [data])
    [entry] = _stored(outage.redis.url)
    assert entry.keys() == {"uid", "nsp", "type", "data", "to"} | ({"traceparent"} if how == "on" else set())
    assert client.events == [["n", data]], "what the client gets is the same"
    provider.shutdown()


@pytest.mark.parametrize(
    "poison", [b"", b"\xff\xfe", b"00-0-0-00", b"x" * 5000, b"00-" + b"0" * 32 + b"-1-01"]
)
async def test_a_context_that_cannot_be_read_stops_nothing(
    world: World, traced: Traced, poison: bytes
) -> None:
    server = world.server(tracing=OpenTelemetry(traced.provider))
    client = await world.connected(server)
    inject(world, fields(3, event("n", 1), traceparent=poison))
    await until(lambda: client.got("n") == [1])
    assert traced.spans("deliver") == []
    assert server.manager.counters == {}


async def test_a_reader_that_is_not_traced_ignores_the_context(world: World, traced: Traced) -> None:
    one, two = world.server(tracing=OpenTelemetry(traced.provider)), world.server()
    client = await world.connected(two)
    await one.sio.emit("n", 1)
    await until(lambda: client.got("n") == [1])
    assert len(traced.spans("publish")) == 1
    assert traced.spans("deliver") == []


def test_an_emit_in_a_thread_belongs_to_the_span_of_that_thread(valkey_url: str, traced: Traced) -> None:
    tracing = OpenTelemetry(traced.provider)
    managers = [RecoveryManager(valkey_url, tracing=tracing, write_only=only) for only in (False, True)]
    serving, emitting = managers
    socketio.Server(async_mode="threading", client_manager=serving)
    try:
        serving.start()
        wait_until(serving.health, what="healthy")
        with traced.provider.get_tracer("application").start_as_current_span("request") as request:
            emitting.emit("n", 1)
        [publish] = traced.spans("publish")
        assert publish.parent is not None
        assert publish.parent.span_id == request.get_span_context().span_id
    finally:
        for manager in managers:
            manager.close()


async def test_who_does_not_trace_does_not_even_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(_stored: StoredEntry[Any]) -> bytes:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(StoredEntry, "trace", property(looked, lambda _stored, _trace: None))
    server = world.server()
    client = await world.connected(server)
    await server.sio.emit("n", 1)
    await until(lambda: client.got("n") == [1])
    client.cut()
    await server.sio.emit("n", 2)
    await world.connect(client, server)
    await until(lambda: client.got("n") == [1, 2])
    assert server.manager.counters == {}


def test_the_front_end_does_without_the_library() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None; from adapter import RecoveryManager;"
        "manager = RecoveryManager(write_only=True); manager.emit('n'); manager.close()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
