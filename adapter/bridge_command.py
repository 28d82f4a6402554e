"""`bridge`: what is emitted in one region reaches the clients of another."""

import asyncio
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from recovery.aio.bridge import Bridge
from recovery.aio.tasks import end_tasks
from recovery.commands import AsyncStore
from recovery.errors import ConfigurationError
from recovery.flows.bridging import Terms
from recovery.inspect.commands.place import Place, examples, reports_errors
from recovery.inspect.listing import Timing
from recovery.settings import Settings
from recovery.stores import endpoint_of, open_async_store

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

__all__ = ["add_bridge"]

_DEFAULTS = Settings()

_From = Annotated[
    str, typer.Option("--from", envvar="SOCKETIO_RECOVERY_FROM", help="The store of the one region.")
]
_To = Annotated[str, typer.Option("--to", envvar="SOCKETIO_RECOVERY_TO", help="The store of the other one.")]
_BothWays = Annotated[bool, typer.Option("--both-ways", help="Carry over from --to to --from, too.")]
_Name = Annotated[
    str | None,
    typer.Option(help="Under which --to keeps the position. [default: the address of --from]"),
]
_BackName = Annotated[
    str | None,
    typer.Option(help="With --both-ways, the same in --from. [default: the address of --to]"),
]
_StreamName = Annotated[str, typer.Option(help="As the servers are set.")]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the servers that is not its default; again for others. Also ping_interval and"
        " ping_timeout.",
    ),
]
_MetricsPort = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Serve metrics for Prometheus on this port.")
]
_MetricsHost = Annotated[str, typer.Option(help="And on this address.")]


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction."""

    source: str
    target: str
    name: str


def add_bridge(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "bridge --from rediss://eu.example --to rediss://us.example",
            "bridge --from rediss://eu.example --to rediss://us.example --both-ways --metrics-port 9101",
        )
    )
    def bridge(
        source: _From,
        target: _To,
        *,
        both_ways: _BothWays = False,
        name: _Name = None,
        back_name: _BackName = None,
        stream_name: _StreamName = _DEFAULTS.stream_name,
        settings: _Set = None,
        metrics_port: _MetricsPort = None,
        metrics_host: _MetricsHost = "127.0.0.1",
    ) -> None:
        """Carry over what is emitted in one region to another, once each, until it is stopped.

        Events for clients, changes of rooms and disconnections cross, whoever emitted them, Node's servers
        among them. Sessions, acknowledgements and events for servers stay in their region.

        It goes on where it was stopped: the position is kept in the store that it carries to.
        """
        with reports_errors():
            ways = _ways(source, target, (name, back_name), stream_name, both=both_ways)
            timing = Place(stream_name=stream_name, settings=settings or []).timing
            with _logging(), _metrics_on(metrics_port, metrics_host) as publish:
                asyncio.run(_run(ways, timing, publish))


async def _run(ways: list[_Way], timing: Timing, publish: Callable[[dict[str, Bridge]], None]) -> None:
    """Run all directions until a signal comes, or one of them cannot be.

    Raises:
        ConfigurationError: both stores are one.
    """
    async with AsyncExitStack() as stack:
        bridges = {way.name: _opened(way, timing, stack) for way in ways}
        publish(bridges)
        tasks = [asyncio.create_task(bridge.run()) for bridge in bridges.values()]
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        tasks.append(asyncio.create_task(_until(stop)))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await end_tasks(tasks)
        for task in done:
            task.result()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _opened(way: _Way, timing: Timing, stack: AsyncExitStack) -> Bridge:
    """One direction, with stores of its own, which the stack closes."""
    settings = timing.settings

    def opened(url: str) -> AsyncStore:
        store = open_async_store(
            url, stream_name=settings.stream_name, session_key_prefix=settings.session_key_prefix
        )
        stack.push_async_callback(store.close)
        return store

    terms = Terms(way.name, timing.retention_ms, settings.max_len)
    source, target = opened(way.source), opened(way.target)
    return Bridge(source, target, terms, read_count=settings.read_count, block_time=settings.block_time)


def _ways(
    source: str, target: str, names: tuple[str | None, str | None], stream_name: str, *, both: bool
) -> list[_Way]:
    ways = [_Way(source, target, names[0] or _address(source, stream_name))]
    if both:
        ways.append(_Way(target, source, names[1] or _address(target, stream_name)))
        if ways[0].name == ways[1].name:
            raise ConfigurationError(
                f"both directions are named {ways[0].name!r}: give --name and --back-name"
            )
    return ways


def _address(url: str, stream_name: str) -> str:
    """What names a stream for whoever gives no better name."""
    endpoint = endpoint_of(url)
    return f"{endpoint.place}/{endpoint.options.get('db') or 0}/{stream_name}"


@contextmanager
def _logging() -> Generator[None]:
    """Say on standard error what goes on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("recovery")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)


@contextmanager
def _metrics_on(port: int | None, host: str) -> Generator[Callable[[dict[str, Bridge]], None]]:
    """Serve metrics, once the bridges are there, until the end of the block.

    Raises:
        ConfigurationError: the package for that is not installed, or the port is not to be had.
    """
    if port is not None and importlib.util.find_spec("prometheus_client") is None:
        raise ConfigurationError(
            "--metrics-port needs prometheus-client: pip install 'socketio-recovery[metrics]'"
        )
    servers: list[WSGIServer] = []

    def publish(bridges: dict[str, Bridge]) -> None:
        if port is not None:
            servers.append(_serve_metrics(bridges, port, host))

    try:
        yield publish
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _serve_metrics(bridges: dict[str, Bridge], port: int, host: str) -> "WSGIServer":
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra

    from adapter.bridge_metrics import BridgeCollector  # noqa: PLC0415 - needs the extra

    registry = CollectorRegistry()
    registry.register(BridgeCollector({name: bridge.meters for name, bridge in bridges.items()}))
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(f"cannot serve metrics on {host}:{port}: {error}") from error
    typer.echo(f"metrics on http://{host}:{server.server_port}/metrics", err=True)
    return server
