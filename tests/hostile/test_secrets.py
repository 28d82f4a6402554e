"""A pid is in no log record, no error and no repr, whatever goes wrong."""

import base64
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from recovery.commands import Claimed, ClaimSession, Command, GetStream, Overtaken, SaveSession
from recovery.core.decision import Presented, read_auth
from recovery.errors import RecoveryError, StoreError, StoreUnavailableError
from recovery.offsets import ORIGIN
from recovery.records import Epoch, HolderState, Namespace, Pid, SavedSession, ServerId, Sid
from recovery.sessions import decode_session, encode_session
from recovery.stores import open_async_store
from recovery.stores.memory import MemoryState
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.protocol import exchange
from recovery.stores.redis.rounds import Call, Script, batch
from recovery.stores.redis.scripts import ScriptName
from tests.hostile.poison import poison_claim
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle

PID = Pid("S3cretS3cretS3cretS3cretS3cret12")
_PART = 8  # characters of a pid that nobody may see together: four are shown in one message


class _Everything(logging.Handler):
    """Keeps all that is logged, as text, with all fields, arguments and tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [self.format(record), repr(vars(record)), repr(record.exc_info)]


@pytest.fixture
def logged() -> Any:
    """All that our loggers write, at the lowest level."""
    handler, logger = _Everything(), logging.getLogger("recovery")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def _shown(pids: Sequence[str], text: str) -> list[str]:
    """Which pids can be seen in a text, in part, or in base64 at any alignment."""
    seen: list[str] = []
    for pid in pids:
        parts = [pid[at : at + _PART] for at in range(len(pid) - _PART + 1)]
        coded = [base64.b64encode(b"x" * shift + pid.encode()).decode()[4:20] for shift in range(3)]
        seen += [pid for part in [*parts, *coded] if part in text]
    return seen


def _session(**changes: Any) -> SavedSession:
    defaults: dict[str, Any] = {
        "sid": Sid("s"), "pid": PID, "namespace": Namespace("/"), "rooms": ("s",), "data": {"pid": PID},
        "epoch": Epoch("e"), "start": ORIGIN, "position": ORIGIN, "history": {},
    }  # fmt: skip
    return SavedSession(**{**defaults, **changes})


def _claim() -> ClaimSession:
    return ClaimSession(PID, Namespace("/"), "", Epoch("e"), ServerId("s"), "n")


def _save() -> SaveSession:
    return SaveSession(
        PID, 1, ServerId("s"), Namespace("/"), "", Epoch("e"), encode_session(_session()), ORIGIN,
        HolderState.LIVE, 1, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        _session(),
        _claim(),
        _save(),
        Claimed(1, encode_session(_session()), ORIGIN, ServerId("s"), HolderState.AWAY, 0),
        Presented(PID),
        read_auth({"pid": PID, "offset": "x"})[0],
        Script(ScriptName.CLAIM, (Keys("a", "b").session(PID),), (PID,)),
        Call(("GET", Keys("a", "b").session(PID))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_repr_of_a_record_does_not_show_the_pid(value: object) -> None:
    assert not _shown([PID], f"{value!r} {value!s} {value}")


def _damaged() -> list[bytes]:
    """A saved session, damaged at any place, in ways that decoders complain about in many words."""
    good = encode_session(_session())
    raw = base64.b64decode(good)
    return [
        good[:-1],
        *[base64.b64encode(raw[:at] + b"\xff" + raw[at + 1 :]) for at in range(len(raw))],
        *[base64.b64encode(raw[:at] + b"\xc1" + raw[at + 1 :]) for at in range(len(raw))],
        *[base64.b64encode(raw[:at]) for at in range(0, len(raw), 3)],
    ]  # fmt: skip


def test_no_complaint_about_a_damaged_session_shows_the_pid() -> None:
    complaints: list[str] = []
    for value in _damaged():
        try:
            decode_session(value)
        except RecoveryError as error:
            complaints += [str(error), repr(error), repr(error.__cause__)]
    assert len(complaints) > 100
    assert not _shown([PID], "\n".join(complaints))


async def _scenario(world: World, server: Server, other: Server) -> list[Client]:
    """Clients that come, drop, recover, are refused, move, and are thrown out, for every reason."""
    clients = [await world.connected(server) for _ in range(8)]
    for client in clients:
        await server.sio.enter_room(client.sid, "room")
    for client in clients[:6]:
        client.cut()
    await settle(100)
    poison_claim(world.state, clients[1].pid).value = b"AAAA"
    poison_claim(world.state, clients[2].pid).value = b"A" * 10_000
    clients[3].sockets["/"].offset = f"{2**63}-0"
    clients[4].sockets["/"].offset = "nonsense"
    clients[5].sockets["/"].pid = clients[5].pid[:-1] + "!"
    for client in clients:  # two of them are still open elsewhere
        await world.connect(client, other)
    await other.sio.disconnect(clients[0].sid)
    await settle(100)
    return clients


async def test_no_pid_is_logged_in_a_world_where_much_goes_wrong(world: World, logged: list[str]) -> None:
    server, other = (world.server(max_session_bytes=5000) for _ in range(2))
    pids: set[str] = set()
    clients = await _scenario(world, server, other)
    pids |= {client.pid for client in clients}
    pids |= {str(pid) for pid in world.state._claims}
    assert len(pids) > 8
    assert len(logged) > 20
    assert not _shown(sorted(pids), "\n".join(logged))
    for owner in (server, other):
        for client in owner.clients.all():
            assert not _shown(
                sorted(pids), f"{client!r} {client.connection!r} {client.connection.recovery!r}"
            )


class _FailingStore:
    """A store that fails whenever it is to do something with a session."""

    def __init__(self, state: MemoryState, failure: Callable[[Command[Any]], Exception]) -> None:
        self._state = state
        self._failure = failure
        self.fails = False

    async def execute(self, command: Command[Any]) -> Any:
        if self.fails and isinstance(command, ClaimSession | SaveSession):
            raise self._failure(command)
        return self._state.execute(command)

    async def execute_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        replies: list[Any] = []
        for command in commands:
            try:
                replies.append(await self.execute(command))
            except StoreError as error:
                replies.append(error)
        return replies

    async def close(self) -> None:
        pass


def _error(command: Command[Any]) -> Exception:
    return StoreError(f"cannot do {command}")


def _no_answer(command: Command[Any]) -> Exception:
    return StoreUnavailableError(f"no answer to {command!r}", maybe_applied=True)


@pytest.mark.parametrize("failure", [_error, _no_answer, ValueError], ids=["error", "no answer", "defect"])
async def test_no_pid_is_logged_when_the_store_fails(
    world: World, logged: list[str], failure: Callable[[Command[Any]], Exception]
) -> None:
    """Even a store that shows the command in its message, as a third party's may."""
    world.expects_errors = True
    server = world.server(publish_timeout=0.05)
    client = await world.connected(server)
    store = _FailingStore(world.state, failure)
    server.store._store = store  # type: ignore[assignment]  # the harness's way to the store
    store.fails = True
    with pytest.raises(RecoveryError) as caught:
        await server.sio.enter_room(client.sid, "r")
    pids = [client.pid]
    client.cut()
    await settle(100)
    world.dial(client, server)
    await settle(300)
    assert not _shown(pids, f"{caught.value!r} {caught.value.__cause__!r}")
    assert not _shown(pids, "\n".join(logged))
    assert logged


async def test_no_error_of_a_redis_store_shows_the_pid(redis_url: str) -> None:
    """Neither one of the server's, nor one about a reply that nobody can read."""
    import redis  # noqa: PLC0415 - redis-py's types are those of both colours at once

    keys = Keys("socket.io", "sio:session:")
    store = open_async_store(redis_url, stream_name="socket.io", session_key_prefix="sio:session:")
    hand: Any = redis.Redis.from_url(redis_url)
    shown: list[str] = []

    async def provoke(command: Command[Any]) -> None:
        reply = (await store.execute_many([command]))[0]
        shown.append(f"{reply!r} {reply} {getattr(reply, '__cause__', None)!r}")

    create = SaveSession(
        PID, 1, ServerId("s"), Namespace("/"), "", Epoch("e"), encode_session(_session()), ORIGIN,
        HolderState.LIVE, 60_000, 60_000, create=True,
    )  # fmt: skip
    await provoke(create)
    await provoke(_claim())
    for field, value in {
        "n": "x",
        "proven": "9" * 20 + "-0",
        "state": "dead",
        "deadline": "soon",
        "holder": b"\xff",
    }.items():
        before = hand.hget(keys.claim(PID), field)
        hand.hset(keys.claim(PID), field, value)
        await provoke(_claim())
        await provoke(create)
        hand.hset(keys.claim(PID), field, before)
    for key in (keys.session(PID), keys.claim(PID)):
        hand.delete(key)
        hand.sadd(key, "x")
        hand.expire(key, 60)
        await provoke(create)
        await provoke(_claim())
        hand.delete(key)
    await store.close()
    await provoke(create)
    assert any("Error" in text for text in shown)
    assert not _shown([PID], "\n".join(shown))
    hand.close()


def test_a_reply_that_nobody_can_read_is_not_shown() -> None:
    """It may hold a session, whose pid base64 does not hide."""
    value = encode_session(_session())
    rounds = batch([exchange(_claim(), Keys("socket.io", "sio:session:"))])
    next(rounds)
    with pytest.raises(StopIteration) as done:
        rounds.send([[1, 2, value, b"1-0", b"\xff", b"live", 0]])
    [error] = done.value.value
    assert isinstance(error, StoreError)
    assert not _shown([PID], f"{error!r} {error} {error.__cause__!r}")


async def test_the_parts_that_are_looked_for_would_be_found() -> None:
    assert _shown([PID], f"...{PID[3:20]}...")
    assert _shown([PID], encode_session(_session()).decode())
    assert not _shown([PID], f"key 'sio:session:{PID[:4]}...' {Overtaken(1)} {GetStream()}")
