"""The fixtures, as a user's tests see them."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.testing.cluster import SimulatedCluster
from recovery.testing.embedded import EmbeddedCluster


def chat(sio: Any) -> None:
    """Clients say things to the room that they name when they connect."""

    async def connect(sid: str, environ: Any, auth: dict[str, Any] | None = None) -> bool:
        room = (auth or {}).get("room", "lobby")
        if not environ["socketio.recovery"].recovered:
            await sio.save_session(sid, {"room": room})
            await sio.enter_room(sid, room)
        return bool(room != "secret")

    async def say(sid: str, text: str) -> None:
        session = await sio.get_session(sid)
        await sio.emit("said", text, room=session["room"])

    sio.on("connect", connect)
    sio.on("say", say)


async def test_a_client_that_drops_and_returns_misses_nothing(
    recovery_cluster: Callable[..., EmbeddedCluster],
) -> None:
    async with recovery_cluster(chat) as cluster:
        one, two = cluster.servers
        anna, ben = cluster.client("anna"), cluster.client("ben")
        await anna.connect(one)
        await ben.connect(two)
        anna.drop()
        ben.emit("say", "hello")
        await ben.until(lambda: ben.got("said") == [["hello"]])
        assert anna.received == []
        await anna.connect(two)
        anna.emit("say", "back")
        await anna.until(lambda: anna.got("said") == [["hello"], ["back"]])
        assert anna.outcomes == ["fresh", "recovered"]


async def test_a_client_whose_connection_dies_silently_takes_its_session_over(
    recovery_cluster: Callable[..., EmbeddedCluster],
) -> None:
    async with recovery_cluster(chat, takeover_timeout=0.1) as cluster:
        anna = cluster.client("anna")
        await anna.connect(cluster.servers[0])
        anna.drop(silently=True)
        await cluster.servers[0].emit("said", "into nothing")
        await anna.connect(cluster.servers[1])
        await anna.until(lambda: anna.got("said") == [["into nothing"]])


async def test_a_refusal_and_an_end_are_no_recovery(
    recovery_cluster: Callable[..., EmbeddedCluster],
) -> None:
    async with recovery_cluster(chat, servers=1) as cluster:
        (server,) = cluster.servers
        spy, anna = cluster.client("spy", room="secret"), cluster.client("anna")
        assert not await spy.connect(server)
        assert await anna.connect(server)
        anna.disconnect()
        await anna.connect(server)
        assert anna.outcomes == ["fresh", "fresh"]


async def test_waiting_in_vain_says_what_came(recovery_cluster: Callable[..., EmbeddedCluster]) -> None:
    async with recovery_cluster(chat, servers=1) as cluster:
        anna = cluster.client("anna")
        await anna.connect(cluster.servers[0])
        await cluster.servers[0].emit("said", "something")
        await anna.until(lambda: bool(anna.received))
        with pytest.raises(TimeoutError, match=r"anna waited 0.05 s in vain; connected: True; .*something"):
            await anna.until(lambda: len(anna.received) > 1, seconds=0.05)


async def test_nothing_runs_on_after_a_cluster(recovery_cluster: Callable[..., EmbeddedCluster]) -> None:
    async with recovery_cluster(chat) as cluster:
        anna = cluster.client("anna")
        await anna.connect(cluster.servers[0])
        anna.drop(silently=True)
        await anna.connect(cluster.servers[1])
    names = [str(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    # Engine.IO's own heartbeat sleeps on; it finds its socket closed when it wakes up.
    assert [name for name in names if "AsyncSocket._send_ping" not in name] == []


def test_each_test_gets_an_empty_store_first(recovery_store_url: str) -> None:
    _leave_something(recovery_store_url)


def test_each_test_gets_an_empty_store_then(recovery_store_url: str) -> None:
    _leave_something(recovery_store_url)


def _leave_something(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0
        client.set("left behind", 1)


def test_a_simulated_cluster(simulated_cluster: Callable[..., SimulatedCluster]) -> None:
    cluster = simulated_cluster(servers=2, seed=3, application=chat)
    anna = cluster.client("anna")
    cluster.connect(anna, "s1")
    cluster.crash("s1")
    missed = cluster.emit("s2")
    cluster.connect(anna, "s2")
    cluster.settle()
    assert missed in [args[1] for args in anna.received]


def test_the_plugin_is_loaded_once_and_imports_little(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    loaded = [name for name in ('hypothesis', 'socketio', 'redis') if name in sys.modules]\n"
        "    assert pytestconfig.pluginmanager.has_plugin('recovery.testing.plugin')\n"
        "    assert loaded == []\n"
    )
    twice = ["-p", "recovery.testing.plugin"] * 2
    command = [sys.executable, "-m", "pytest", "-q", *twice, "-p", "no:hypothesispytest", str(tmp_path)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
