import socketio
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from adapter import AsyncRecoveryManager
from adapter.tracing import OpenTelemetry

provider = TracerProvider(resource=Resource.create({"service.name": "news"}))
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))  # or the exporter that you use

manager = AsyncRecoveryManager("redis://localhost:6379", tracing=OpenTelemetry(provider))
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
app = socketio.ASGIApp(sio)
