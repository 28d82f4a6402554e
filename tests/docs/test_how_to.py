"""The examples of the how-to guides run, and do what the guides say."""

import time
from typing import Any

from tests.docs.pages import DOCS, blocks
from tests.interleavings.client import Client
from tests.interleavings.clock import Clock, stopped_clock
from tests.interleavings.harness import settle, until
from tests.interleavings.transports import WebSocketTransport

EXPIRY_PAGE = DOCS / "how-to" / "run-code-when-a-session-expires.md"


async def _connected(app: Any, user: str) -> Client:
    client = Client(user=user)
    client.open(WebSocketTransport(app))
    await until(lambda: client.is_connected, "connected")
    await settle()
    return client


async def _pass(clock: Clock, seconds: int) -> None:
    until_then = time.time() + seconds
    while time.time() < until_then:
        clock.advance(1)
        await settle()


async def test_others_are_told_when_a_client_does_not_return() -> None:
    [example] = [block.text for block in blocks(EXPIRY_PAGE) if block.language == "python"]
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(example, EXPIRY_PAGE.name, "exec"), names)  # noqa: S102 - our own page
    with stopped_clock() as clock:
        ann, bob = await _connected(names["app"], "ann"), await _connected(names["app"], "bob")
        await _pass(clock, 20)
        bob.cut()
        await _pass(clock, 119)
        assert ann.got("left") == []
        await _pass(clock, 17)
        assert ann.got("left") == ["bob"]
        ann.cut()
        await names["manager"].close()
