"""The collector: what Prometheus gets is well formed, the same as the plain numbers, and safe to ask for."""

import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from adapter import RecoveryManager
from adapter.figures import FIGURES, FigureKind
from adapter.metrics import RecoveryCollector
from recovery.core.health import Trouble
from tests.interleavings.harness import World, settle
from tests.metrics.reading import value
from tests.sync.harness import open_server


def _scraped(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scrape tells, by name and labels, as a program other than ours reads it."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_scrape_tells_the_same_as_the_plain_numbers(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    client.cut()
    await server.sio.emit("n", 1)
    await world.connect(client, server)
    registry = CollectorRegistry()
    registry.register(RecoveryCollector(server.manager))
    scraped = _scraped(registry)
    plain = {
        (sample.name, frozenset({**sample.labels, "manager": ""}.items())): sample.value
        for sample in server.manager.metrics()
    }
    assert len(plain) == len(server.manager.metrics())
    assert scraped == pytest.approx(plain, abs=1)  # the lag and the spans go on while one looks
    openmetrics: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # the library's own
    assert openmetrics.endswith(b"# EOF\n")


async def test_several_managers_are_told_apart(world: World) -> None:
    chat, game = world.server(), world.server()
    await world.connected(chat)
    registry = CollectorRegistry()
    registry.register(RecoveryCollector({"chat": chat.manager, "game": game.manager}))
    scraped = _scraped(registry)
    live = {
        dict(labels)["manager"]: number
        for (name, labels), number in scraped.items()
        if name == "socketio_recovery_connections" and ("phase", "live") in labels
    }
    assert live == {"chat": 1, "game": 0}


def test_a_registry_notices_a_second_collector() -> None:
    registry = CollectorRegistry(auto_describe=True)
    manager = RecoveryManager("memory://")
    registry.register(RecoveryCollector(manager))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(RecoveryCollector(manager))


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_name_keeps_the_conventions(figure: Any) -> None:
    assert re.fullmatch(r"socketio_recovery(_[a-z]+)+", figure.name)
    assert figure.name.endswith("_total") == (figure.kind is FigureKind.COUNTER)
    assert not re.search(r"_(ms|milliseconds|kb|mb|minutes)(_|$)", figure.name), "base units only"
    assert figure.meaning.endswith(".")
    assert "manager" not in figure.labels
    assert all(re.fullmatch(r"[a-z]+", label) for label in figure.labels)


def test_nothing_has_begun_and_everything_can_be_read() -> None:
    manager = RecoveryManager("redis://127.0.0.1:1", write_only=True)
    assert {sample.value for sample in manager.metrics() if sample.name.endswith("_total")} == {0.0}
    assert not [sample for sample in manager.metrics() if "lag" in sample.name]
    assert not manager._operations.process.streams.made(), "reading has begun nothing"
    assert manager.health()
    manager.close()
    assert manager.health().reasons == (Trouble.CLOSED,)


def test_a_server_with_threads_is_read_while_everything_changes() -> None:
    with open_server() as server:
        registry = CollectorRegistry()
        registry.register(RecoveryCollector(server.manager))
        stop, errors = threading.Event(), list[BaseException]()

        def scrape() -> None:
            while not stop.is_set():
                try:
                    generate_latest(registry)
                except BaseException as exc:  # noqa: BLE001 - the test is told
                    errors.append(exc)

        scraper = threading.Thread(target=scrape)
        scraper.start()
        for number in range(10):
            client = server.client()
            server.sio.emit("n", number)
            client.cut()
            client.connect()
        stop.set()
        scraper.join()
        assert not errors
        assert value(server.manager, "recoveries_total", outcome="recovered") == 10
        assert value(server.manager, "published_entries_total") >= 10
        server.manager.health()
    assert not server.manager.health()


async def test_reading_asks_the_store_nothing(world: World) -> None:
    server = world.server()
    await world.connected(server)
    await settle()
    before = server.store.performed.copy()
    server.manager.metrics()
    server.manager.health()
    await settle()
    assert server.store.performed == before


def test_the_front_end_does_without_the_library() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None; from adapter import RecoveryManager;"
        "assert RecoveryManager().metrics()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
