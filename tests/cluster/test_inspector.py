"""The inspector asks real servers, ours and Node's: `servers`, `watch`, and the page."""

import asyncio
import os
import signal
from typing import Any

import pytest

from recovery.inspect.opening import open_source
from recovery.inspect.schema import FIELDS, undocumented
from recovery.inspect.servers import ask_servers
from recovery.inspect.web.app import build_page
from recovery.inspect.web.desk import Desk
from recovery.inspect.web.guard import Door
from recovery.settings import Settings
from tests.cluster.mixed import Mixed
from tests.cluster.test_with_node import topology
from tests.inspect.browsing import TIMING, Visitor
from tests.inspect.commands import Answer, run

__all__ = ["topology"]


@pytest.fixture(params=["redis", "sharded"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the servers talk to one another."""
    chosen: str = request.param
    return chosen


class Asker:
    """Runs commands for a cluster, beside the event loop that its tests run in."""

    def __init__(self, mixed: Mixed, url: str, kind: str) -> None:
        self.app = mixed.cluster.app
        self.url = url
        self.settings = Settings(
            stream_name=self.app, channel_prefix=self.app, use_sharded_pubsub=kind == "sharded"
        )

    async def run(self, command: str, *more: str) -> Answer:
        """Run a command."""
        prefix = ("--set", f"channel_prefix={self.settings.channel_prefix}")
        sharded = ("--set", f"use_sharded_pubsub={str(self.settings.use_sharded_pubsub).lower()}")
        place = ("--url", self.url, "--stream-name", self.app)
        return await asyncio.to_thread(run, command, *place, *prefix, *sharded, "--timeout", "5", *more)

    async def get(self, path: str) -> Any:
        """What the page answers."""
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> Any:
        source = open_source(self.url, stream_name=self.app)
        desk = Desk(source, TIMING, roll=lambda: ask_servers(self.url, self.settings, patience=5.0))
        try:
            return Visitor(build_page(desk, Door(None))).get(path).json()
        finally:
            source.close()


@pytest.fixture
def asker(mixed: Mixed, store_url: str, kind: str) -> Asker:
    return Asker(mixed, store_url, kind)


async def test_servers_of_both_are_listed(mixed: Mixed, asker: Asker) -> None:
    answer = await asker.run("servers", "--json")
    assert answer.status == 0
    found = answer.json
    assert undocumented(found, FIELDS["servers"]) == set()
    assert sorted(each["runs"] for each in found["servers"]) == ["node", "python", "python"]
    assert sorted(each["clients"] for each in found["servers"] if each["runs"] == "python") == [0, 1]
    assert found["silent"] == 0
    os.kill(mixed.server.host.pid, signal.SIGSTOP)
    try:
        answer = await asker.run("servers")
    finally:
        os.kill(mixed.server.host.pid, signal.SIGCONT)
    assert answer.status == 1
    assert "1 more listened" in answer.out
    assert answer.out.count("python") == 1


async def test_recoveries_are_watched_and_shown_by_the_page(mixed: Mixed, asker: Asker) -> None:
    watching = asyncio.create_task(asker.run("watch", "--json", "--interval", "0.2", "--count", "8"))
    bounces = 0
    while not watching.done():
        await mixed.ours.bounce()
        bounces += 1
    looks = (await watching).json_lines
    assert len(looks) == 8
    assert undocumented(looks[-1], FIELDS["watch"]) == set()
    assert set(looks[-1]["since"]) == {"recovered"}
    assert 0 < looks[-1]["since"]["recovered"] <= bounces
    drawn = await asker.run("watch", "--count", "1")
    assert drawn.out.count("python") == 2
    assert "node" in drawn.out

    assert (await asker.get("/api/recoveries"))["outcomes"] == {"recovered": bounces}
    servers = (await asker.get("/api/servers"))["servers"]
    assert sorted(each["kind"] for each in servers) == ["node", "python", "python"]
    assert sorted(each["clients"] for each in servers if each["kind"] == "python") == [0, 1]
