"""What a real cluster leaves behind: two servers, JavaScript clients that dropped, and one Valkey.

The servers are killed at the end, so the store stands still but for the deadlines. These lie half a day
ahead: it is recorded once, and judged until the end of a run, which may be an hour later.
"""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from recovery.records import Pid
from recovery.stores.embedded import EmbeddedServer
from recovery.stores.redis.keys import Keys
from tests.e2e import steps
from tests.e2e.cluster import Cluster, HostProcess
from tests.e2e.js_clients import JsClient, JsClients
from tests.waiting import async_wait_until, wait_until

__all__ = ["KEYS", "WINDOW", "Left", "Recorded", "record"]

KEYS = Keys("socket.io", "sio:session:")
WINDOW = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Left:
    """A client that is gone.

    Attributes:
        offset: of the last packet that it received, None if there was none.
    """

    sid: str
    pid: Pid
    offset: str | None


@dataclass(slots=True)
class Recorded:
    """The data set.

    Attributes:
        url: of the store that holds it.
        clients: by name. ``ann`` and ``bob`` dropped, ``cat`` is one of the namespace ``/chat``, ``dan``
            disconnected, ``eve`` was connected when her server was killed, ``fay`` received nothing, ``gus``
            has expired, ``ivy`` carries hostile data.
        hosts: ids of the two servers, as the stream names them.
        ended_ms: when all of it was over, on the store's clock.
    """

    url: str
    clients: dict[str, Left] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    ended_ms: int = 0

    def __getitem__(self, name: str) -> Left:
        return self.clients[name]

    def copy_rdb(self, to: Path) -> Path:
        """Let the store write an RDB file, and copy that."""
        with redis.Redis.from_url(self.url) as client:
            client.save()
            folder: Any = client.config_get("dir")
        to.write_bytes((Path(folder["dir"]) / "dump.rdb").read_bytes())
        return to

    def copy_to(self, url: str) -> None:
        """Put the same data into another, empty store, for a test that changes it."""
        here: Any  # its types are those of both colours at once
        with redis.Redis.from_url(self.url) as here, redis.Redis.from_url(url) as there:
            for key in here.scan_iter():
                there.restore(key, max(0, here.pttl(key)), here.dump(key))

    def copy_aof(self, to: Path) -> Path:
        """Let the store write an append-only file, and copy that: a folder with a manifest."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            client.config_set("appendonly", "yes")
            wait_until(lambda: self._is_rewritten(client), what="the append-only file written")
            client.xadd("other", {"written": "after the base"})
            client.expire("other", 60)
            folder: Any = client.config_get("dir")
            to.mkdir()
            for path in (Path(folder["dir"]) / "appendonlydir").iterdir():
                (to / path.name).write_bytes(path.read_bytes())
            client.config_set("appendonly", "no")
        return to

    @staticmethod
    def _is_rewritten(client: Any) -> bool:  # redis-py's types are those of both colours at once
        facts = client.info("persistence")
        return (facts["aof_rewrite_in_progress"], facts["aof_last_bgrewrite_status"]) == (0, "ok")


def record(server: EmbeddedServer) -> Recorded:
    """Run the cluster, and return what it left; needs Node and its packages."""
    return asyncio.run(_record(server.url))


async def _record(url: str) -> Recorded:
    js, hosts = JsClients(), [HostProcess("host-1"), HostProcess("host-2")]
    await js.start()
    try:
        for host in hosts:
            await host.start()
        cluster = Cluster(hosts, js)
        settings = {
            "url": url,
            "stream_name": KEYS.stream_name,
            "max_disconnection_duration": WINDOW,
            "checkpoint_interval": 0.2,
        }
        await cluster.open(settings, identify_by="user")
        return await _play(cluster, Recorded(url))
    finally:
        for host in hosts:
            os.kill(host.pid, signal.SIGKILL)
            await host.stop()
        await js.stop()


async def _play(cluster: Cluster, recorded: Recorded) -> Recorded:
    one, two = cluster.first, cluster.last
    names = ("ann", "bob", "dan", "eve", "gus", "ivy")
    clients = {name: await cluster.client(one, auth={"user": name}) for name in names}
    clients["cat"] = await cluster.client(two, "/chat", auth={"user": "cat"})
    await one.enter_room(clients["ann"].sid, "news")
    await one.enter_room(clients["bob"].sid, "news")
    await one.enter_room(clients["bob"].sid, "sport")
    await one.enter_room(clients["ivy"].sid, "\x1b[31m<script>\u202egnp.exe")
    await one.save_session(clients["ann"].sid, {"name": "Ann", "visits": 3})
    await one.save_session(clients["ivy"].sid, {"name": "\x1b]0;owned\x07"})
    await one.emit("headline", "before", room="news")
    await clients["ann"].events(1)
    await clients["bob"].events(1)
    await clients["gus"].drop("abrupt")
    await clients["dan"].disconnect()
    await clients["ann"].drop("abrupt")
    await _happenings(cluster, clients)
    clients["fay"] = await cluster.client(two, auth={"user": "fay"})
    await clients["fay"].drop("close")
    await clients["cat"].drop("close")
    await one.emit("headline", "for bob", room="sport")
    await clients["bob"].until_payload("headline", "for bob")
    await clients["bob"].drop("silent")
    await two.emit("headline", "at the end", room="news")
    recorded.clients = {name: await _left(client) for name, client in clients.items()}
    await _until_saved(recorded)
    return recorded


async def _happenings(cluster: Cluster, clients: dict[str, JsClient]) -> None:
    """What ann misses, and what she does not."""
    one, two, ann = cluster.first, cluster.last, clients["ann"]
    await one.emit("headline", "one", room="news")
    await two.emit("headline", {"two": [b"\x00binary", 2]}, room="news")
    await one.emit("score", 3, room="sport")
    await two.run(steps.emit_volatile("cursor", [1, 2], room="news"))
    await one.emit("hint", "not for ann", skip_sid=ann.sid)
    await two.emit("late", "too early", room="late")
    await two.enter_room(ann.sid, "late")
    await two.emit("late", "just in time", room="late")
    await one.call("ask", "bob?", to=clients["bob"].sid)
    await two.emit("note", "for the chat", namespace="/chat")
    await one.emit("everyone", "\x1b[2Jclear")


async def _left(client: JsClient) -> Left:
    state = await client.state()
    return Left(client.sid, Pid(client.pid), state["lastOffset"])


async def _until_saved(recorded: Recorded) -> None:
    """Wait until the store has what the servers do on their own, and let gus expire."""
    with redis.Redis.from_url(recorded.url, decode_responses=True) as client:

        def states() -> dict[str, Any]:
            return {name: client.hgetall(KEYS.claim(left.pid)) for name, left in recorded.clients.items()}

        async def settled() -> bool:
            found = {name: claim.get("state") for name, claim in states().items()}
            return all(found[name] == "away" for name in ("ann", "cat", "fay", "gus"))

        await async_wait_until(settled, what="all who dropped are away")
        gus = KEYS.claim(recorded["gus"].pid)
        client.hset(gus, "deadline", int(client.hget(gus, "since") or 0) + 1)
        seconds: Any = client.time()[0]
        recorded.ended_ms = int(seconds) * 1000 + 1000
        recorded.hosts = sorted({claim["holder"] for claim in states().values()})
