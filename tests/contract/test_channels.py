"""Channels keep their contract on every store that has them (`recovery.channels`)."""

import asyncio
from typing import Any

import pytest
import redis

from recovery.channels import Channels, HasChannels
from recovery.errors import StoreError, StoreUnavailableError
from recovery.stores import open_async_store
from tests.contract.conftest import Place
from tests.servers import SERVER_KINDS
from tests.waiting import async_wait_until

NAMES = {"stream_name": "socket.io", "session_key_prefix": "sio:session:"}


class Listener:
    """One server's channels, what it has heard, and what went wrong."""

    def __init__(self, url: str, *, sharded: bool = False, silence: float = 10.0) -> None:
        store = open_async_store(url, **NAMES)
        assert isinstance(store, HasChannels)
        self.store = store
        self.heard: list[bytes] = []
        self.failures: list[StoreError] = []
        self.channels: Channels = store.open_channels(
            self.heard.append, sharded=sharded, silence=silence, failed=self.failures.append
        )

    async def close(self) -> None:
        await self.channels.close()
        await self.store.close()

    async def until_heard(self, *messages: bytes) -> None:
        async def heard() -> bool:
            return self.heard == list(messages)

        await async_wait_until(heard, what=f"{messages} in {self.heard}")


@pytest.fixture(params=["memory", *SERVER_KINDS, "secured", "sentinel", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """A store that has channels."""
    if request.param == "memory":
        return f"memory://{request.node.nodeid}"
    if request.param in {"secured", "sentinel"}:
        place: Place = request.getfixturevalue(f"{request.param}_place")
        return place.url
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


async def test_a_message_reaches_all_that_listen_and_the_sender_learns_how_many(url: str) -> None:
    one, two, deaf = Listener(url), Listener(url), Listener(url)
    await one.channels.subscribe("a", "b")
    await two.channels.subscribe("a")
    await two.channels.subscribe("a")
    assert [await one.channels.publish(channel, b"\x00\xff") for channel in "abc"] == [2, 1, 0]
    assert await deaf.channels.publish("a", b"two") == 2
    await one.until_heard(b"\x00\xff", b"\x00\xff", b"two")
    await two.until_heard(b"\x00\xff", b"two")
    assert deaf.heard == []
    for each in (one, two, deaf):
        await each.close()


async def test_channels_may_be_wanted_while_a_connection_is_being_made(url: str) -> None:
    one, two = Listener(url), Listener(url)
    asked: list[asyncio.Task[None]] = []
    while not asked or not asked[0].done():  # in each turn of the loop until the first one is in force
        asked.append(asyncio.create_task(one.channels.subscribe(f"channel-{len(asked)}")))
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    counts = [await two.channels.publish(f"channel-{number}", b"x") for number in range(len(asked))]
    assert counts == [1] * len(asked)
    for each in (one, two):
        await each.close()


async def test_messages_of_one_sender_arrive_in_order(url: str) -> None:
    one, two = Listener(url), Listener(url)
    await one.channels.subscribe("a")
    messages = [b"%d" % number for number in range(200)]
    await asyncio.gather(*(two.channels.publish("a", message) for message in messages))
    await one.until_heard(*messages)
    await one.close()
    await two.close()


async def test_who_has_closed_hears_nothing(url: str) -> None:
    one, two = Listener(url), Listener(url)
    await one.channels.subscribe("a")
    await one.close()
    await one.channels.close()

    async def nobody() -> bool:
        return await two.channels.publish("a", b"x") == 0

    await async_wait_until(nobody, what="nobody listens")
    assert one.heard == []
    await two.close()


async def test_a_connection_that_is_lost_is_made_again(valkey_url: str) -> None:
    one, two = Listener(valkey_url), Listener(valkey_url)
    await one.channels.subscribe("a", "b")
    _kill_listeners(valkey_url)
    await _until_counted(two, "a", 1)
    await _until_counted(two, "b", 1)
    assert len(one.failures) == 1
    assert await two.channels.publish("b", b"after") == 1

    async def heard() -> bool:
        return b"after" in one.heard

    await async_wait_until(heard, what="a message after the loss")
    await one.close()
    await two.close()


async def test_a_connection_that_is_silent_counts_as_lost(valkey_url: str) -> None:
    """With a wait of -1.9 s on top of 2 s for an answer, silence is noticed after 0.1 s."""
    one = Listener(valkey_url, silence=-1.9)
    await one.channels.subscribe("a")

    async def failed() -> bool:
        return len(one.failures) >= 2

    await async_wait_until(failed, what="two failures")
    assert isinstance(one.failures[0], StoreUnavailableError)
    await one.close()


async def test_a_store_that_is_away_is_said_and_tried_again(unused_tcp_port: int) -> None:
    one = Listener(f"redis://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(StoreUnavailableError):
        await one.channels.publish("a", b"x")

    async def refuses() -> bool:
        try:
            await one.channels.subscribe("a")
        except StoreError:
            return bool(one.failures)
        return False

    await async_wait_until(refuses, what="a refusal")
    await one.close()


async def test_sharded_channels_are_others(valkey_url: str) -> None:
    plain, sharded = Listener(valkey_url), Listener(valkey_url, sharded=True)
    await plain.channels.subscribe("a")
    await sharded.channels.subscribe("a")
    assert [await each.channels.publish("a", b"x") for each in (plain, sharded)] == [1, 1]
    await plain.until_heard(b"x")
    await sharded.until_heard(b"x")
    await plain.close()
    await sharded.close()


async def test_a_user_who_may_not_listen_is_told(valkey_url: str) -> None:
    admin: Any = redis.Redis.from_url(valkey_url)  # its types are those of both colours at once
    admin.execute_command("ACL", "SETUSER", "mute", "on", ">pw", "resetchannels", "~*", "+@all")
    one = Listener(valkey_url.replace("unix://", "unix://mute:pw@"))

    async def said() -> bool:
        try:
            await one.channels.subscribe("a")
        except StoreError as error:
            return "lacks a right" in str(error)
        return False

    await async_wait_until(said, what="a missing right")
    await one.close()
    admin.execute_command("ACL", "DELUSER", "mute")
    admin.close()


async def _until_counted(listener: Listener, channel: str, count: int) -> None:
    async def counted() -> bool:
        return await listener.channels.publish(channel, b"?") == count

    await async_wait_until(counted, what=f"{count} listeners of {channel}")


def _kill_listeners(url: str) -> None:
    client: Any = redis.Redis.from_url(url)
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    client.close()
