"""The inspector needs no right to write, asks for nothing slow, and changes nothing."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from recovery.commands import OpenStream
from recovery.errors import StoreError
from recovery.inspect import entries_between, find_session, find_sessions, list_owners, open_source, rehearse
from recovery.offsets import ORIGIN
from recovery.records import Epoch, HolderState, Namespace, Pid, SavedSession, Sid
from recovery.sessions import encode_session
from recovery.stores import open_store
from tests.contract.builders import append, save
from tests.docs.pages import DOCS, blocks
from tests.inspect.commands import run
from tests.inspect.recording import KEYS
from tests.servers import SERVER_KINDS

_PAGE = DOCS / "explanation" / "security.md"
_PASSWORD = "a-password"
_PID = Pid("a-private-id-of-a-client")


def _documented() -> list[str]:
    [acl] = [block.text for block in blocks(_PAGE) if block.name == "acl-inspect"]
    return acl.replace("PASSWORD", _PASSWORD).split()


RIGHTS = [word for word in _documented() if word.startswith("+")]


@pytest.fixture(params=SERVER_KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """A server with a session and a stream."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    store = open_store(url, stream_name=KEYS.stream_name, session_key_prefix=KEYS.session_key_prefix)
    epoch = store.execute(OpenStream(Epoch("e"))).epoch
    store.execute(append(b"one", b"two"))
    value = encode_session(SavedSession(Sid("sid"), _PID, Namespace("/"), (), {}, epoch, ORIGIN, ORIGIN, {}))
    store.execute(save(pid=_PID, create=True, epoch=epoch, value=value, state=HolderState.AWAY))
    store.close()
    return url


@pytest.fixture
def admin(url: str) -> Iterator[Any]:
    """The operator; the user that the test makes is gone afterwards."""
    with redis.Redis.from_url(url) as client:
        yield client
        client.execute_command("ACL", "DELUSER", "inspector")


def _as_user(url: str) -> str:
    return url.replace("unix://", f"unix://inspector:{_PASSWORD}@")


def _ask_everything(url: str) -> Iterator[object]:
    """All that the inspector reads, one question after the other."""
    with closing(open_source(url)) as source:
        yield from find_sessions(source)
        yield list_owners(source)
        yield find_session(source, "sid")
        yield list(entries_between(source, at_once=1))
        yield source.length()
        yield source.now_ms()
        yield source.stream()
        yield source.facts()["redis_version"]
        yield source.read(ORIGIN, 1, wait_ms=1)
        yield source.read_back(source.read(ORIGIN, 9)[-1].offset, 1)
        rehearsal = rehearse(source, _PID)
        assert rehearsal.outcome in {"recovered", "offset-trimmed"}
        yield rehearsal


def test_the_rights_of_the_page_suffice_and_nothing_is_changed(url: str, admin: Any) -> None:
    admin.execute_command(*_documented())
    before = _everything_in(admin)
    assert all(_ask_everything(_as_user(url)))
    assert _everything_in(admin) == before


def _everything_in(client: Any) -> dict[bytes, tuple[bytes, int]]:
    return {
        key: (client.dump(key), client.pexpiretime(key) if _knows_expiry(client) else 0)
        for key in client.scan_iter()
    }


def _knows_expiry(client: Any) -> bool:
    return int(client.info("server")["redis_version"].partition(".")[0]) >= 7


@pytest.mark.parametrize("right", RIGHTS)
def test_no_right_of_the_page_is_too_much(url: str, admin: Any, right: str) -> None:
    admin.execute_command(*(word for word in _documented() if word != right))
    with pytest.raises(StoreError, match=rf"(?i)the store's user lacks a right.*{right[1:]}"):
        list(_ask_everything(_as_user(url)))


@pytest.mark.parametrize(
    "command",
    [
        ("SET", KEYS.session(_PID), "x"),
        ("DEL", KEYS.session(_PID)),
        ("PEXPIRE", KEYS.session(_PID), "1"),
        ("HSET", KEYS.claim(_PID), "state", "ended"),
        ("XADD", KEYS.stream, "*", "a", "b"),
        ("XTRIM", KEYS.stream, "MAXLEN", "0"),
        ("EVAL", "return 1", "0"),
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("KEYS", "*"),
        ("GET", "another"),
    ],
    ids=lambda command: command[0],
)
def test_the_user_cannot_write(url: str, admin: Any, command: tuple[str, ...]) -> None:
    admin.execute_command(*_documented())
    with (
        redis.Redis.from_url(_as_user(url)) as user,
        pytest.raises(redis.ResponseError, match=r"(?i)permission|NOPERM"),
    ):
        user.execute_command(*command)


def test_no_command_is_one_that_takes_long(url: str, admin: Any) -> None:
    """Everything that is sent is counted by the server: no KEYS, no whole hashes, no scripts."""
    admin.config_resetstat()
    assert all(_ask_everything(url))
    sent = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
    assert "scan" in sent
    allowed = {right[1:] for right in RIGHTS} | {
        "client|setinfo",
        "config|resetstat",
        "config",
        "hello",
        "acl",
    }
    assert sent - allowed <= {"select", "ping", "auth", "client"}


def test_servers_are_asked_with_the_rights_of_the_page_for_that(url: str, admin: Any) -> None:
    [more] = [block.text for block in blocks(_PAGE) if block.name == "acl-ask"]
    admin.execute_command(*_documented())
    refused = run("servers", "--url", _as_user(url), "--timeout", "0.1")
    assert (refused.status, refused.out) == (3, "")
    assert "may not" in refused.err or "permission" in refused.err.lower(), refused.err
    admin.execute_command("ACL", "SETUSER", "inspector", *more.split())
    assert run("servers", "--url", _as_user(url), "--timeout", "0.1").status == 0
