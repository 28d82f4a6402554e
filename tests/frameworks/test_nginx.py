"""nginx in front of two nodes, with the configurations and commands of docs/how-to/run-behind-nginx.md."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapter.request_seams import ADVICE
from tests.docs.pages import blocks
from tests.e2e.js_clients import Connected, Disconnected, JsClient, Refused
from tests.frameworks.nginx import CONFIGURATIONS, Nginx
from tests.frameworks.recipes import HOW_TO, commands_on
from tests.frameworks.serving import Process, Site
from tests.frameworks.traffic import assert_nothing_lost, flows, traffic
from tests.frameworks.visitors import SECONDS, Visitors, come_back, publish

PAGE = HOW_TO / "run-behind-nginx.md"
NODE = "uvicorn fastapi_app:app --port 8000 --timeout-graceful-shutdown 5"


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(site: Site) -> list[Process]:
    """Two nodes of the application."""
    site.add("realtime.py", "fastapi_app.py")
    return [await site.serve(NODE) for _ in range(2)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Nginx]]:
    """The nginx of a test."""
    running: list[Nginx] = []
    yield running
    for each in running:
        each.stop()


@pytest.fixture
def behind(tmp_path: Path, nodes: list[Process], started: list[Nginx]) -> Callable[[str], Nginx]:
    """Start nginx in front of the nodes: ``behind("sticky.conf")``."""

    def start(name: str) -> Nginx:
        nginx = Nginx(tmp_path / name, name, [node.port for node in nodes])
        started.append(nginx)
        nginx.start()
        return nginx

    return start


def test_the_page_has_the_configurations_and_the_commands_that_are_tested() -> None:
    shown = {block.name: block.text for block in blocks(PAGE) if block.language == "nginx" and block.name}
    assert shown == {path.name: path.read_text(encoding="utf-8") for path in CONFIGURATIONS.glob("*.conf")}
    typed = [line for line in commands_on(PAGE) if line.startswith("uvicorn")]
    assert typed == [NODE.replace("8000", port) for port in ("8001", "8002")]


async def test_a_node_is_taken_out_and_put_back_under_traffic(
    nodes: list[Process], behind: Callable[[str], Nginx], site: Site, visitors: Visitors, valkey_url: str
) -> None:
    """As the page has it: ``down``, reload, stop; then start, and reload without ``down``."""
    nginx = behind("websocket.conf")
    clients = [await _traveller(visitors, nginx) for _ in range(6)]
    async with traffic(valkey_url, clients[0]) as published:
        for node in nodes:
            await flows(clients)
            nginx.replace(f"server 127.0.0.1:{node.port};", f"server 127.0.0.1:{node.port} down;")
            nginx.reload()
            assert await node.terminate() in {0, -signal.SIGTERM}
            await flows(clients)
            await site.serve(NODE, port=node.port)
            nginx.replace(f"server 127.0.0.1:{node.port} down;", f"server 127.0.0.1:{node.port};")
            nginx.reload()
    await assert_nothing_lost(clients, published)
    assert {port for _, port in nginx.routes()} == {node.port for node in nodes}
    assert all(len(client.all(Connected)) > 1 for client in clients)
    assert not [client for client in clients if client.all(Refused)]


async def test_a_node_that_is_killed_is_left_out(
    nodes: list[Process], behind: Callable[[str], Nginx], visitors: Visitors, valkey_url: str
) -> None:
    nginx = behind("websocket.conf")
    clients = [await _traveller(visitors, nginx) for _ in range(4)]
    async with traffic(valkey_url, clients[0]) as published:
        await flows(clients)
        nodes[0].signal(signal.SIGKILL)
        await flows(clients)
    await assert_nothing_lost(clients, published)
    assert sum(len(client.all(Connected)) > 1 for client in clients) >= 1


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]], ids="-".join)
async def test_sticky_sessions_hold_clients_that_poll_and_recover_them_on_the_other_node(
    nodes: list[Process], behind: Callable[[str], Nginx], visitors: Visitors, transports: list[str]
) -> None:
    nginx = behind("sticky.conf")
    stays, gone = nodes
    writer = await visitors.client(stays)
    readers = [await _visitor_from(visitors, nginx, f"10.0.0.{number}", transports) for number in range(4)]
    while len(set().union(*_homes(nginx).values())) < 2:  # where an address goes depends on the ports
        assert len(readers) < 40, _homes(nginx)
        address = f"10.0.0.{len(readers)}"
        readers.append(await _visitor_from(visitors, nginx, address, transports))
    await publish(writer, "one")
    for reader in readers:
        await reader.until_payload("headline", "one", seconds=SECONDS)
        await reader.drop()
    await publish(writer, "two")
    for reader in readers:
        await come_back(reader)
    homes = _homes(nginx)
    assert all(len(ports) == 1 for ports in homes.values()), homes
    moved = {reader: len(reader.history) for reader in readers if homes[reader.name] == {gone.port}}
    assert 0 < len(moved) < len(readers), homes
    gone.signal(signal.SIGKILL)
    for reader, mark in moved.items():
        await reader.next(Disconnected, after=mark, seconds=SECONDS)
    await publish(writer, "three")
    for reader in moved:
        await come_back(reader)
    for reader in readers:
        assert await reader.events(3, "headline", seconds=SECONDS) == ["one", "two", "three"]


async def test_without_stickiness_a_client_that_polls_gets_nowhere_and_is_told_why(
    nodes: list[Process], behind: Callable[[str], Nginx], visitors: Visitors
) -> None:
    nginx = behind("websocket.conf")
    client = await visitors.visitor(nginx, transports=["polling"])
    await client.until(lambda: bool(client.all(Disconnected)), "the end of its session", seconds=SECONDS)
    end = client.all(Disconnected)[0]
    assert end.reason == "transport error"
    assert ADVICE in str(end.response)
    assert any(ADVICE in node.output() for node in nodes)
    shown = [block.text for block in blocks(PAGE) if block.language == "text"]
    assert [re.sub(r"session \S+:", "session X:", text) for text in shown] == [
        re.sub(r"session \S+:", "session X:", f"{end.response}\n")
    ]


async def test_a_page_of_the_same_origin_is_let_in_through_nginx(
    behind: Callable[[str], Nginx], visitors: Visitors
) -> None:
    """The server compares the browser's Origin with the host that nginx passes on, its port included."""
    nginx = behind("websocket.conf")
    await visitors.client(nginx, extraHeaders={"Origin": nginx.url})
    await visitors.refused(nginx, extraHeaders={"Origin": "http://elsewhere.example"})


async def _traveller(visitors: Visitors, nginx: Nginx) -> JsClient:
    """A client that comes back through nginx whenever it loses its connection, and keeps headlines."""
    failover = {"urls": [nginx.url], "delay": 50}
    return await visitors.client(nginx, keep=["headline"], timeout=3000, failover=failover)


async def _visitor_from(visitors: Visitors, nginx: Nginx, address: str, transports: list[str]) -> JsClient:
    """A client from elsewhere; its name is its address."""
    headers = {"X-Forwarded-For": address}
    return await visitors.client(nginx, name=address, transports=transports, extraHeaders=headers)


def _homes(nginx: Nginx) -> dict[str, set[int]]:
    """The ports that answered the requests of each address."""
    homes: dict[str, set[int]] = {}
    for address, port in nginx.routes():
        homes.setdefault(address, set()).add(port)
    return homes
