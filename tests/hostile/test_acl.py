"""The rights that a store's user needs: those of the page about security, all of them and no other."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import socketio

from adapter import AsyncRecoveryManager
from recovery.adoption import FindSession
from recovery.channels import HasChannels
from recovery.commands import Command, GetStream, OpenStream, Read, ReadBack, RenewStream, Store
from recovery.deadlines import BurySession, DueSessions, NoteDeadline
from recovery.errors import PublishError, StoreError
from recovery.messages import public_channel
from recovery.offsets import ORIGIN, Offset
from recovery.records import Epoch, HolderState, Namespace, Pid
from recovery.stores import open_async_store, open_store
from tests.contract.builders import PID, append, claim, expire, save
from tests.contract.subject import KEYS
from tests.interleavings.client import Client
from tests.interleavings.transports import WebSocketTransport
from tests.rights import PASSWORD, documented
from tests.waiting import async_wait_until


def _documented() -> list[str]:
    """The words of the command on the page, those for `session_expired` among them."""
    return documented("acl", "acl-expiry")


def _for_channels() -> list[str]:
    """The words of the page for servers that ask one another."""
    return documented("acl-cluster")


RIGHTS = [word for word in _documented() if word.startswith("+")]
PATTERNS = [word for word in _documented() if word.startswith("~")]


@pytest.fixture
def admin(redis_url: str) -> Iterator[Any]:
    """The operator; the user that the test makes is gone afterwards."""
    client: Any = redis.Redis.from_url(redis_url)  # its types are those of both colours at once
    yield client
    client.execute_command("ACL", "DELUSER", "recovery")
    client.close()


def _as_user(url: str) -> str:
    return url.replace("unix://", f"unix://recovery:{PASSWORD}@")


def _store(url: str) -> Store:
    return open_store(_as_user(url), stream_name=KEYS.stream_name, session_key_prefix=KEYS.session_key_prefix)


def _every_command(admin: Any) -> Iterator[Command[Any]]:
    """Every command of the contract, on every way through its script."""
    yield GetStream()
    yield OpenStream(Epoch("e"))
    yield append(b"a", b"b")
    yield append(b"a", b"b")  # as if its reply had been lost
    yield append(b"c", sequence=3, retention_ms=0, max_len=1)
    yield RenewStream(Epoch("e"), Epoch("f"), Offset(2**45, 0))
    yield append(b"d", sequence=4)  # below an id of the future
    yield GetStream()
    yield Read(ORIGIN, 10, 0)
    yield Read(ORIGIN, 10, 10)
    yield ReadBack(Offset(2**46, 0), 10)
    yield save(create=True)
    yield FindSession(PID, 1000)
    yield save(value=None)
    yield claim()
    yield save(number=2, owner=claim().owner, state=HolderState.AWAY)
    yield save(number=7, owner=claim().owner, create=True)  # as if the store had lost a newer claim
    yield save(number=7, owner=claim().owner, state=HolderState.ENDED)
    yield claim()
    admin.delete(KEYS.stream)
    yield append(b"e", sequence=5)
    admin.delete(KEYS.claim(PID))
    admin.sadd(KEYS.claim(PID), "somebody else's")
    admin.expire(KEYS.claim(PID), 60)
    yield claim()
    admin.delete(KEYS.claim(PID))
    yield from _commands_of_expiry()


def _commands_of_expiry() -> Iterator[Command[Any]]:
    """What is asked for the setting ``session_expired``."""
    yield save(create=True, ttl_ms=1, linger_ms=60_000, keep_ms=60_000)
    yield NoteDeadline(PID, 0, 60_000)
    yield NoteDeadline(Pid("ended"), None, 60_000)
    yield DueSessions(10, 1000)
    yield expire(grace_ms=0)
    yield BurySession(PID, 2, 60_000)


def _failures(store: Store, admin: Any) -> list[str]:
    found: list[str] = []
    for command in _every_command(admin):
        try:
            store.execute(command)
        except StoreError as error:
            if "holds a set, not a hash" not in str(error):
                found.append(f"{type(command).__name__}: {error}")
    return found


def test_the_rights_of_the_page_suffice(redis_url: str, admin: Any) -> None:
    admin.execute_command(*_documented())
    store = _store(redis_url)
    assert _failures(store, admin) == []
    store.close()


def test_the_patterns_for_several_streams_suffice(redis_url: str, admin: Any) -> None:
    patterns = documented("acl-streams")
    admin.execute_command(*(word for word in _documented() if word not in PATTERNS[:2]), *patterns)
    for stream in ("socket.io-0", "socket.io--1"):
        store = open_store(_as_user(redis_url), stream_name=stream, session_key_prefix="sio:session:")
        store.execute(OpenStream(Epoch("e")))
        store.execute(append(b"a"))
        assert len(store.execute(Read(ORIGIN, 10, 0))) == 2
        store.close()
    store = _store(redis_url)
    with pytest.raises(StoreError, match="the store's user lacks a right"):
        store.execute(OpenStream(Epoch("e")))
    store.close()


@pytest.mark.parametrize("right", RIGHTS)
def test_no_right_of_the_page_is_too_much(valkey_url: str, right: str) -> None:
    """Without it something fails, and the message says what, and where to look."""
    admin: Any = redis.Redis.from_url(valkey_url)
    admin.execute_command(*(word for word in _documented() if word != right))
    store = _store(valkey_url)
    failures = _failures(store, admin)
    store.close()
    admin.execute_command("ACL", "DELUSER", "recovery")
    admin.flushall()  # a script that was stopped midway has given no key its expiry
    admin.close()
    assert failures, f"{right} is not needed"
    assert all("the store's user lacks a right" in failure for failure in failures)
    assert all("docs/explanation/security.md" in failure for failure in failures)
    assert right[1:] in " ".join(failures).lower()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_key_of_the_page_is_too_much(redis_url: str, admin: Any, pattern: str) -> None:
    admin.execute_command(*(word for word in _documented() if word != pattern))
    store = _store(redis_url)
    failures = _failures(store, admin)
    store.close()
    assert failures, f"{pattern} is not needed"
    assert all("the store's user lacks a right" in failure for failure in failures)
    assert not any(PID in failure for failure in failures)


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("CONFIG", "GET", "requirepass"),
        ("MONITOR",),
        ("SLOWLOG", "GET"),
        ("ACL", "LIST"),
        ("DEL", "another"),
        ("GET", "another"),
        ("XADD", "another.stream", "*", "a", "b"),
        ("HGETALL", KEYS.epoch),
        ("PUBLISH", "socket.io", "x"),
        ("SUBSCRIBE", "x"),
        ("EVAL", "return redis.call('GET', 'another')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SCRIPT", "FLUSH"),
        ("SHUTDOWN",),
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_the_user_can_do_nothing_else(redis_url: str, admin: Any, command: tuple[str, ...]) -> None:
    admin.execute_command(*_documented())
    user: Any = redis.Redis.from_url(_as_user(redis_url))
    with pytest.raises(redis.ResponseError, match=r"(?i)permission|NOPERM|ACL failure|user executing"):
        user.execute_command(*command)
    user.close()


class _Server:
    """A server whose manager connects as that user."""

    def __init__(self, url: str) -> None:
        self.manager = AsyncRecoveryManager(_as_user(url), max_len=20, publish_timeout=2.0)
        self.sio = socketio.AsyncServer(async_mode="asgi", client_manager=self.manager, monitor_clients=False)
        self.sio.on("connect", self._arrive)
        self.app = socketio.ASGIApp(self.sio)

    async def _arrive(self, _sid: str, _environ: Any, _auth: Any = None) -> None:
        pass


async def _connected(client: Client, server: _Server) -> None:
    client.open(WebSocketTransport(server.app))

    async def is_connected() -> bool:
        return bool(client.is_connected)

    await async_wait_until(is_connected, what="connected")


async def _got(client: Client, *numbers: int) -> None:
    async def has_all() -> bool:
        return len(client.got("n")) >= len(numbers)

    await async_wait_until(has_all, what=f"{numbers} received")
    assert client.got("n") == list(numbers)


async def test_everything_works_with_these_rights(redis_url: str, admin: Any) -> None:
    admin.execute_command(*_documented())
    first, second, client = _Server(redis_url), _Server(redis_url), Client()
    await _connected(client, first)
    await first.sio.enter_room(client.sid, "room")
    await second.sio.save_session(client.sid, {"user": "ann"})
    await second.sio.emit("n", 1, room="room")
    await _got(client, 1)
    client.cut()
    await second.sio.emit("n", 2, room="room")
    await _connected(client, second)
    await _got(client, 1, 2)
    await _connected(client, first)  # a takeover: the old transport is still open
    await first.sio.emit("n", 3, room="room")
    await _got(client, 1, 2, 3)
    assert client.outcomes == ["fresh", "recovered", "recovered"]
    assert await second.sio.get_session(client.sid) == {"user": "ann"}
    for _ in range(100):
        await first.sio.emit("fill")
    assert admin.xlen(KEYS.stream) < 110
    await first.sio.disconnect(client.sid)
    for server in (first, second):
        await server.manager.close()


async def test_an_emit_without_the_right_to_the_stream_says_so(redis_url: str, admin: Any) -> None:
    admin.execute_command(*(word for word in _documented() if word != "~socket.io"))
    manager = AsyncRecoveryManager(_as_user(redis_url), write_only=True)
    with pytest.raises(PublishError, match=re.escape("docs/explanation/security.md")):
        await manager.emit("n", 1)
    await manager.close()


class _Nobody:
    """An operator who does nothing."""

    def __getattr__(self, _name: str) -> Any:
        return self._do_nothing

    def _do_nothing(self, *_args: object) -> None:
        pass


def test_every_command_of_the_contract_is_tried() -> None:
    """One that the contract gains must be tried here, too: it may need another right."""
    contract = {Command.__module__, NoteDeadline.__module__, FindSession.__module__}
    known = {kind.__name__ for kind in Command.__subclasses__() if kind.__module__ in contract}
    assert {type(command).__name__ for command in _every_command(_Nobody())} == known


async def _talk(url: str) -> list[str]:
    """What goes wrong where a server listens to a channel and sends to it."""
    store = open_async_store(
        _as_user(url), stream_name=KEYS.stream_name, session_key_prefix=KEYS.session_key_prefix
    )
    assert isinstance(store, HasChannels)
    found: list[str] = []
    heard: list[bytes] = []
    channels = store.open_channels(
        heard.append, sharded=False, silence=10.0, failed=lambda error: found.append(str(error))
    )
    channel = public_channel("socket.io", Namespace("/"))
    for attempt in (channels.subscribe(channel), channels.publish(channel, b"x")):
        try:
            await attempt
        except StoreError as error:
            found.append(str(error))

    async def over() -> bool:
        return bool(heard or found)

    await async_wait_until(over, what="a message, or a failure")
    await channels.close()
    return found


async def test_the_rights_for_channels_suffice(redis_url: str, admin: Any) -> None:
    admin.execute_command(*_documented(), *_for_channels())
    assert await _talk(redis_url) == []


@pytest.mark.parametrize("right", _for_channels())
async def test_no_right_for_channels_is_too_much(redis_url: str, admin: Any, right: str) -> None:
    admin.execute_command(*_documented(), *(word for word in _for_channels() if word != right))
    failures = await _talk(redis_url)
    assert failures
    assert all("the store's user lacks a right" in failure for failure in failures)


async def test_without_rights_for_channels_clients_are_served(redis_url: str, admin: Any) -> None:
    admin.execute_command(*_documented())
    manager = AsyncRecoveryManager(_as_user(redis_url))
    socketio.AsyncServer(async_mode="asgi", client_manager=manager)
    await manager.emit("n", 1)

    async def said() -> bool:
        return manager.counters.get("channel.failed", 0) > 0

    await async_wait_until(said, what="channel.failed")
    with pytest.raises(StoreError, match="lacks a right"):
        await manager.fetch_sockets()
    await manager.close()
