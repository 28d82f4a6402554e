"""The page about bridges: its commands run, and do what it says."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from adapter.bridge_metrics import BridgeCollector
from recovery.aio.bridge import BridgeMeters
from tests.bridge.conftest import STREAM, Two
from tests.docs.pages import DOCS, blocks
from tests.e2e.js_clients import JsClients
from tests.faults.redis_process import RedisProcess
from tests.frameworks.serving import Process
from tests.frameworks.visitors import SECONDS, Visitors, publish
from tests.ports import free_port
from tests.waiting import wait_until

PAGE = DOCS / "how-to" / "bridge-two-regions.md"


@pytest.mark.asyncio(loop_scope="session")
async def test_what_is_published_in_one_region_reaches_the_clients_of_both(
    servers: tuple[RedisProcess, RedisProcess], js: JsClients, tmp_path: Path
) -> None:
    [app] = [block for block in blocks(PAGE) if block.language == "python"]
    [commands] = [block.text.splitlines() for block in blocks(PAGE) if block.language == "sh"]
    (tmp_path / app.name).write_text(app.text, encoding="utf-8")
    processes = [_process(command, servers, tmp_path) for command in commands]
    visitors = Visitors(js)
    try:
        for process in processes[:2]:
            await process.start()
        await processes[2].start(serves=False)
        wait_until(lambda: processes[2].output().count("goes on after") == 2, timeout=60.0, what="a bridge")
        east, west = [await visitors.client(process) for process in processes[:2]]
        await publish(east, "from east")
        await publish(west, "from west")
        for client in (east, west):
            assert set(await client.events(2, "headline", seconds=SECONDS)) == {"from east", "from west"}
        assert [await process.terminate() for process in processes[2:]] == [0]
    finally:
        await visitors.leave()
        for process in processes:
            print(process.output())  # noqa: T201 - pytest shows it
            process.kill()


async def test_the_rights_on_the_page_are_enough_and_no_session_can_be_read(two: Two) -> None:
    [rights] = [block.text for block in blocks(PAGE) if block.name == "acl-bridge"]
    line = shlex.split(rights.replace("\n", " ").replace("PASSWORD", "secret").replace("socket.io", STREAM))
    for place in two.places:
        place.redis.client.execute_command(*line)
    urls = [place.redis.url.replace("//", "//bridge:secret@") for place in two.places]
    bridge = two.bridge("--both-ways", "--from", urls[0], "--to", urls[1])
    bridge.start()
    await bridge.begun(2)
    client = await two.west.cluster.client()
    for _ in range(2):  # the second one trims, and knows what it has appended
        await two.east.server.emit("news", "from east")
    assert await client.events(2, "news", seconds=SECONDS) == ["from east"] * 2
    assert "lacks a right" not in bridge.output()
    assert "secret" not in bridge.output()
    for command in (["GET", "sio:session:x"], ["SET", "sio:session:x", "1"]):
        assert two.east.redis.client.execute_command("ACL", "DRYRUN", "bridge", *command) != "OK"


def test_the_metrics_on_the_page_are_those_that_there_are() -> None:
    collector = BridgeCollector({"east": BridgeMeters(delay=0.1)})
    names = {sample.name for metric in collector.collect() for sample in metric.samples}
    on_the_page = set(re.findall(r"`(socketio_recovery_bridge_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert names == on_the_page


def _process(command: str, servers: tuple[RedisProcess, RedisProcess], folder: Path) -> Process:
    """A command of the page, on the stores and ports of this test."""
    for number, server in zip(("6379", "6380"), servers, strict=True):
        command = command.replace(f"redis://localhost:{number}", server.url)
    port = free_port()
    command = re.sub(r"--(port|metrics-port) \d+", rf"--\1 {port}", command)
    return Process(folder, command, port=port, python=Path(sys.executable))
