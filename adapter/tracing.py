"""Tracing with OpenTelemetry: needs the extra ``otel``.

1. An emit is a span, and its context travels in the stream, in the entry's field ``traceparent``.
2. A server that gives the packet to clients of its own makes a span of that, as a child of the emit's and
   linked to it. One that has nobody to give it to makes none.
3. A client that asks for recovery makes a span, with a link to the emit of each packet that it is sent again.
4. No span has data, a pid, or the name of a room. What is not sampled travels without context.
"""

from collections.abc import Awaitable, Callable
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapter.clients import EioConnection
from recovery.core.packets import StoredEntry
from recovery.entries import TRACE_FIELD
from recovery.offsets import Offset
from recovery.records import Draft, Namespace

__all__ = ["OpenTelemetry"]

_CONTEXT = TraceContextTextMapPropagator()
_KEY = TRACE_FIELD.decode()


class OpenTelemetry:
    """Makes spans of what a manager does.

    Args:
        tracer_provider: where spans go; by default, to the global one.

    Example::

        from adapter.tracing import OpenTelemetry

        manager = AsyncRecoveryManager("redis://localhost:6379", tracing=OpenTelemetry())
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("socketio_recovery", tracer_provider=tracer_provider)

    async def publish(
        self,
        append: Callable[[Draft], Awaitable[Offset]],
        draft: Draft,
        *,
        namespace: Namespace,
        event: Any,  # see `adapter.observing.Tracing`
        max_bytes: int,
    ) -> Offset:
        """Append an entry within a span, and with its context."""
        kind, attributes = trace.SpanKind.PRODUCER, _attributes("send", namespace, event)
        with self._tracer.start_as_current_span(f"publish {event}", kind=kind, attributes=attributes) as span:
            offset = await append(_with_context(draft, span, max_bytes))
            span.set_attribute("messaging.message.id", str(offset))
            return offset

    async def recover(self, namespace: Namespace, admission: Awaitable[EioConnection]) -> EioConnection:
        """Wait for a connection within a span, which says what became of it."""
        attributes = {"socketio.namespace": namespace}
        with self._tracer.start_as_current_span("recover", attributes=attributes) as span:
            connection = await admission
            recovery = connection.recovery
            span.set_attribute("socketio.recovery.recovered", recovery.recovered)
            span.set_attribute("socketio.recovery.replayed", recovery.replayed)
            if recovery.reason is not None:
                span.set_attribute("socketio.recovery.reason", recovery.reason.value)
            if recovery.offline_for is not None:
                span.set_attribute("socketio.recovery.offline_for", recovery.offline_for)
            return connection

    def delivering(self, stored: StoredEntry[Any]) -> int:
        """The time, if the entry is traced."""
        return time_ns() if stored.trace else 0

    def delivered(self, stored: StoredEntry[Any], event: str, recipients: int, since: int) -> None:
        """Make a span of a delivery."""
        origin = _origin(stored)
        if origin is None or stored.head is None:
            return
        attributes = _attributes("process", stored.head.namespace, event)
        span = self._tracer.start_span(
            f"deliver {event}",
            context=trace.set_span_in_context(trace.NonRecordingSpan(origin)),
            kind=trace.SpanKind.CONSUMER,
            links=[trace.Link(origin)],
            start_time=since or None,
            attributes={
                **attributes,
                "messaging.message.id": str(stored.offset),
                "socketio.recipients": recipients,
            },
        )
        span.end()

    def replayed(self, stored: StoredEntry[Any]) -> None:
        """Link the recovery that is under way to the emit of a packet that it replays."""
        origin = _origin(stored)
        if origin is not None:
            trace.get_current_span().add_link(origin, {"messaging.message.id": str(stored.offset)})


def _attributes(operation: str, namespace: str, event: object) -> dict[str, str]:
    return {
        "messaging.system": "socketio",
        "messaging.operation.type": operation,
        "messaging.destination.name": namespace,
        "socketio.event": str(event),
    }


def _with_context(draft: Draft, span: trace.Span, max_bytes: int) -> Draft:
    """The draft with a field more, if the span is kept by anybody, and the entry does not get too large."""
    if not span.get_span_context().trace_flags.sampled:
        return draft
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier, trace.set_span_in_context(span))
    traced = Draft((*draft.fields, (TRACE_FIELD, carrier.get(_KEY, "").encode())))
    return traced if traced.size() <= max_bytes else draft


def _origin(stored: StoredEntry[Any]) -> trace.SpanContext | None:
    """The context of the emit, if the entry carries one that can be read; anybody may have written it."""
    if not stored.trace:
        return None
    context = _CONTEXT.extract({_KEY: stored.trace.decode("ascii", "replace")})
    origin = trace.get_current_span(context).get_span_context()
    return origin if origin.is_valid else None
