"""The pages and files for whoever runs servers: what they show works, and what they name exists."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adapter import RecoveryManager
from adapter.figures import FIGURES, FigureKind
from recovery.core.health import Trouble
from recovery.settings import Settings
from tests.docs.pages import DOCS, ROOT, blocks
from tests.faults.conftest import impatient
from tests.faults.redis_process import RedisProcess
from tests.frameworks.conftest import site
from tests.frameworks.serving import Site
from tests.ports import free_port
from tests.waiting import async_wait_until, wait_until

__all__ = ["impatient", "site"]

HOW_TO = DOCS / "how-to"
EXAMPLES = DOCS / "examples" / "operations"
PAGES = [
    HOW_TO / name
    for name in ("measure-with-prometheus.md", "probe-readiness.md", "trace-with-opentelemetry.md")
]
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text(encoding="utf-8"))
ALERTS = [
    rule
    for group in yaml.safe_load((EXAMPLES / "prometheus-alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
QUERIES = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())),
    *(rule["expr"] for rule in ALERTS),
]
STORE_ON_PAGES = "redis://localhost:6379"


def _names() -> dict[str, set[str]]:
    """Names that Prometheus has, each with its labels."""
    names: dict[str, set[str]] = {}
    for figure in FIGURES:
        labels = {"manager", "instance", *figure.labels}
        if figure.kind is FigureKind.HISTOGRAM:
            names |= {f"{figure.name}_{end}": labels | {"le"} for end in ("bucket", "count", "sum")}
        else:
            names[figure.name] = labels
    return names


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    names = _names()
    used = re.findall(r"(socketio_recovery_\w+)(?:\{([^}]*)\})?", query)
    assert used
    for name, matchers in used:
        assert name in names
        labels = set(re.findall(r"(\w+)(?:=|!)", matchers))
        assert labels <= names[name], f"{name} has no {labels - names[name]}"
    known = {label for labels in names.values() for label in labels}
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert set(re.split(r",\s*", grouped)) <= known
    assert query.count("(") == query.count(")")


@pytest.mark.parametrize("query", QUERIES)
def test_a_counter_is_looked_at_by_its_rate(query: str) -> None:
    for name in re.findall(r"(?<!rate\()(?<!increase\()\b(socketio_recovery_\w+_total)\b", query):
        raise AssertionError(f"{name} is a counter: {query}")


def test_the_dashboard_shows_every_metric() -> None:
    shown = "\n".join(QUERIES)
    missing = [figure.name for figure in FIGURES if not re.search(rf"\b{figure.name}(_bucket)?\b", shown)]
    assert not missing


def test_the_dashboard_can_be_laid_out() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    taken = [(x, y) for place in places for x in _span(place, "x", "w") for y in _span(place, "y", "h")]
    assert len(set(taken)) == len(taken), "no panel lies on another"


def _span(place: dict[str, int], start: str, size: str) -> range:
    return range(place[start], place[start] + place[size])


def test_each_alert_is_on_the_page_with_what_to_do() -> None:
    page = (HOW_TO / "run-in-production.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(Recovery\w+)` \| .+ \|$", page, re.MULTILINE)
    assert told == [rule["alert"] for rule in ALERTS]
    assert all(rule["annotations"]["summary"] for rule in ALERTS)


def test_the_page_names_metrics_that_exist() -> None:
    page = (HOW_TO / "run-in-production.md").read_text(encoding="utf-8")
    table = page.partition("## What the metrics tell")[2].partition("\n## ")[0]
    named = {word for word in re.findall(r"`([a-z]+_[a-z_]+)`", table) if not _is_setting(word)}
    assert {f"socketio_recovery_{name}" for name in named} <= {figure.name for figure in FIGURES}
    assert len(named) > 20


def _is_setting(word: str) -> bool:
    return word in {field.name for field in fields(Settings)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_on_a_page_is_the_example(page: Path) -> None:
    files = [block for block in blocks(page) if block.language == "python" and block.name]
    assert files
    for block in files:
        assert block.text == (EXAMPLES / block.name).read_text(encoding="utf-8")


def test_every_example_is_on_a_page() -> None:
    named = {block.name for page in PAGES for block in blocks(page)}
    assert {path.name for path in EXAMPLES.glob("*.py")} <= named


# ------------------------------------------------------------------------------------------- probes


@pytest.fixture
def store(tmp_path: Path, impatient: None) -> Iterator[RedisProcess]:
    """A Valkey that can be killed."""
    with RedisProcess("valkey", tmp_path) as server:
        yield server


def _run(name: str, url: str) -> dict[str, Any]:
    text = (EXAMPLES / name).read_text(encoding="utf-8").replace(STORE_ON_PAGES, url)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(text, name, "exec"), names)  # noqa: S102 - our own example
    return names


async def test_the_probe_for_fastapi_tells_what_the_store_does(store: RedisProcess) -> None:
    names = _run("fastapi_probe.py", store.url)
    api = names["api"]
    transport = httpx.ASGITransport(app=names["app"])
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(transport=transport, base_url="http://probe") as client,
    ):

        async def answers(status: int) -> bool:
            return (await client.get("/ready")).status_code == status

        assert (await client.get("/ready")).json() == [Trouble.STARTING]
        await async_wait_until(lambda: answers(200), what="ready")
        assert (await client.get("/ready")).json() == []
        store.kill()
        await async_wait_until(lambda: answers(503), what="not ready")
        assert (await client.get("/ready")).json() == [Trouble.STORE_AWAY]
        assert (await client.get("/live")).status_code == 200
        store.start()
        await async_wait_until(lambda: answers(200), what="ready again")
    assert names["manager"].health().reasons == (Trouble.CLOSED,)


def test_the_probe_for_flask_tells_what_the_store_does(store: RedisProcess) -> None:
    names = _run("flask_probe.py", store.url)
    client = names["app"].test_client()
    try:
        assert client.get("/ready").json == [Trouble.STARTING]
        wait_until(lambda: client.get("/ready").status_code == 200, what="ready")
        store.kill()
        wait_until(lambda: client.get("/ready").status_code == 503, what="not ready")
        assert client.get("/ready").json == [Trouble.STORE_AWAY]
        assert client.get("/live").status_code == 200
        store.start()
        wait_until(lambda: client.get("/ready").status_code == 200, what="ready again")
    finally:
        names["manager"].close()


def test_the_table_of_reasons_names_all() -> None:
    page = (HOW_TO / "probe-readiness.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == [str(trouble) for trouble in Trouble]


# --------------------------------------------------------------------------------- metrics and spans


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that are free."""
    for _ in range(100):
        first = free_port()
        places = [socket.socket() for _ in range(count)]
        try:
            for number, place in enumerate(places):
                place.bind(("127.0.0.1", first + number))
        except (OSError, OverflowError):
            continue
        else:
            return first
        finally:
            for place in places:
                place.close()
    raise AssertionError("no free ports")


async def test_each_worker_shows_its_metrics_on_a_port_of_its_own(site: Site) -> None:
    first = _free_ports(4)
    text = (EXAMPLES / "metrics_app.py").read_text(encoding="utf-8")
    assert "9100" in text
    site.write("metrics_app.py", text.replace("9100", str(first)))
    await site.serve("uvicorn metrics_app:app --port 8000 --workers 2")
    async with httpx.AsyncClient() as client:

        async def healthy() -> bool:
            told = [await _scrape(client, first + number) for number in range(2)]
            return all("socketio_recovery_healthy{" in each and _is_healthy(each) for each in told)

        await async_wait_until(healthy, timeout=20, what="both workers tell")
        assert await _scrape(client, first + 2) == "", "there are two workers"


async def _scrape(client: httpx.AsyncClient, port: int) -> str:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.TransportError:
        return ""


def _is_healthy(text: str) -> bool:
    return 'socketio_recovery_healthy{manager=""} 1.0' in text


_EMIT = """
import asyncio

async def main():
    await sio.emit("headline", "one")
    await manager.close()

asyncio.run(main())
provider.shutdown()
"""


def test_the_example_of_tracing_makes_spans(valkey_url: str) -> None:
    text = (EXAMPLES / "tracing_app.py").read_text(encoding="utf-8").replace(STORE_ON_PAGES, valkey_url)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", text + _EMIT], env=environment, check=True, capture_output=True, text=True
    )
    assert '"name": "publish headline"' in finished.stdout


async def test_plain_numbers_go_wherever_they_are_sent() -> None:
    [block] = [
        block
        for block in blocks(HOW_TO / "measure-with-prometheus.md")
        if block.language == "python" and not block.name
    ]
    names: dict[str, Any] = {}
    exec(compile(block.text, "page", "exec"), names)  # noqa: S102 - our own page
    sent: dict[str, float] = {}
    names["to_statsd"](RecoveryManager("memory://"), sent.__setitem__)
    assert sent["socketio_recovery_recoveries_total.refused.session-unknown"] == 0
    assert sent["socketio_recovery_window_seconds"] == 120


_MULTIPROCESS = """
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from adapter import RecoveryManager
from adapter.metrics import RecoveryCollector

REGISTRY.register(RecoveryCollector(RecoveryManager()))
Counter("of_prometheus", "help").inc()
together = CollectorRegistry()
MultiProcessCollector(together)
assert b"socketio_recovery_healthy" in generate_latest(REGISTRY)
assert b"of_prometheus_total 1.0" in generate_latest(together)
assert b"socketio_recovery" not in generate_latest(together)
"""


def test_multiprocess_mode_asks_no_collector(tmp_path: Path) -> None:
    """What the page says of it, and why each worker has a port."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", _MULTIPROCESS], env=environment, check=True)
