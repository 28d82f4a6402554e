"""Frames that no client library sends, at a real server: the real clients beside them do not notice.

Many more of them are sent in `tests/hostile/test_client_frames.py`; here are one of each kind, over a socket.
"""

import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.e2e.cluster import ROOT, Cluster, Server
from tests.e2e.raw import RawWebSocket

_PID = "x" * 32
CONVERSATIONS: dict[str, list[str | bytes]] = {
    "no packet": ["40", "9", "2probe", "4"],
    "no JSON": ["40", "42[", "42{", '43["', "40{", "42" + "[" * 100_000],
    "auth of every type": [
        f"40{value}" for value in ("1", '"x"', "[]", "true", '{"pid":[]}', '{"pid":{"a":1}}')
    ],
    "a huge auth": ["40" + json.dumps({"pid": "x" * 900_000, "offset": "9" * 50_000})],
    "an offset of the far future": ["40" + json.dumps({"pid": _PID, "offset": f"{2**64 - 1}-{2**64 - 1}"})],
    "an offset that commands": ["40" + json.dumps({"pid": _PID, "offset": "0-0 COUNT 1\r\nFLUSHALL\r\n"})],
    "a pid that commands": ["40" + json.dumps({"pid": "x\r\nFLUSHALL\r\n" * 3})],
    "namespaces": ["40/nowhere,", "40/\x00,", "40/" + "a" * 10_000 + ",", "40//,"],
    "an event before CONNECT": ['42["e"]', '450-["e"]', b"\x00"],
    "reserved events": ["40", '42["connect",{},{}]', '42["disconnect","x"]'],
    "events of no form": ["40", "42{}", "42[]", "42null", "42[null]", '42[{"a":1}]', "42[[]]"],
    "numbers that no JSON has": ["40", '42["e",NaN,Infinity]', '42["e",' + "9" * 5000 + "]"],
    "acknowledgements of nothing": ["40", "430[]", "43" + "9" * 99 + "[]", "43[]", "431", '431{"a":1}'],
    "attachments that do not come": ["40", '4599-["e",{"_placeholder":true,"num":0}]'],
    "attachments that are not there": ["40", '451-["e",{"_placeholder":true,"num":7}]', b"a"],
    "attachments that nobody wants": ["40", b"a", b"b" * 100_000],
    "CONNECT again and again": ["40", *["40" + json.dumps({"pid": _PID})] * 30],
    "comings and goings": [*["40", "41"] * 20],
    "types that a server sends": ["0{}", '44{"message":"x"}', "6", "1"],
}


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _raised_by_us(server: Server) -> list[str]:
    """Errors that were logged by us, or raised in our code; the rest is python-socketio's way to say it."""
    errors: list[str] = await server.host.ask("errors")
    innermost = [re.findall(r'File "([^"]+)"', error)[-1:] for error in errors]
    ours = (str(ROOT / "recovery"), str(ROOT / "adapter"))
    return [
        error
        for error, files in zip(errors, innermost, strict=True)
        if error.startswith("recovery") or (files and files[0].startswith(ours))
    ]


async def test_the_clients_beside_do_not_notice(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    witness = await cluster.client()
    for number, (what, frames) in enumerate(CONVERSATIONS.items()):
        async with RawWebSocket(http, cluster.first) as socket:
            await socket.handshake()
            for frame in frames:
                try:
                    await socket.send(frame)
                except ConnectionError:
                    break  # the server has had enough
            await cluster.first.emit("e", number)
            assert (await witness.events(number + 1))[-1] == number, what
    assert await _raised_by_us(cluster.first) == []
    await witness.drop()
    await cluster.last.emit("e", "missed")
    await cluster.come_back(witness)
    assert (await witness.events(len(CONVERSATIONS) + 1))[-1] == "missed"
