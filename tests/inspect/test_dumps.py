"""RDB and append-only files: of every server, of yesterday, of tomorrow, and damaged ones."""

import struct
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.commands import Append, OpenStream, SaveSession
from recovery.errors import SourceError
from recovery.inspect import SessionState, find_sessions, open_source
from recovery.inspect.dump_files import read_dump_file
from recovery.offsets import ORIGIN
from recovery.records import Draft, Epoch, HolderState, Namespace, Pid, SavedSession, ServerId, Sid
from recovery.sessions import encode_session
from recovery.stores import open_store
from recovery.stores.embedded import EmbeddedServer
from tests.inspect.recording import KEYS
from tests.servers import SERVER_KINDS
from tests.waiting import wait_until

ONE, TWO = Pid("a-session-of-one-00001"), Pid("a-session-of-two-00002")


@pytest.fixture(params=SERVER_KINDS)
def server_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def rdb(server_url: str, tmp_path: Path) -> Path:
    """An RDB file with a session that lives, and one that expires right after."""
    store = open_store(server_url, stream_name="socket.io", session_key_prefix="sio:session:")
    epoch = store.execute(OpenStream(Epoch("e"))).epoch
    store.execute(Append(ServerId("s"), 1, (Draft(((b"a", b"b"),)),), epoch, 10**6, None))
    store.execute(_save(ONE, epoch, ttl_ms=10**6))
    store.execute(_save(TWO, epoch, ttl_ms=2000))
    store.close()
    return _dumped(server_url, tmp_path / "dump.rdb")


def _save(pid: Pid, epoch: Epoch, *, ttl_ms: int) -> SaveSession:
    value = encode_session(
        SavedSession(Sid(f"sid-{pid[-1]}"), pid, Namespace("/"), (), {}, epoch, ORIGIN, ORIGIN, {})
    )
    return SaveSession(
        pid=pid,
        number=1,
        owner=ServerId("s"),
        namespace=Namespace("/"),
        identity="",
        epoch=epoch,
        value=value,
        proven=ORIGIN,
        state=HolderState.AWAY,
        ttl_ms=ttl_ms,
        linger_ms=100,
        create=True,
    )


def _dumped(url: str, to: Path) -> Path:
    with redis.Redis.from_url(url) as client:
        client.save()
        folder: Any = client.config_get("dir")
    to.write_bytes((Path(folder["dir"]) / "dump.rdb").read_bytes())
    return to


def test_what_has_expired_since_is_there_as_it_was(rdb: Path, server_url: str) -> None:
    with redis.Redis.from_url(server_url) as client:
        wait_until(lambda: not client.exists(KEYS.claim(TWO)), what="the second session forgotten")
    source = open_source(rdb)
    assert {session.pid: session.state for session in find_sessions(source)} == {
        ONE: SessionState.AWAY,
        TWO: SessionState.AWAY,
    }
    assert abs(source.now_ms() - time.time() * 1000) < 60_000
    assert not source.is_live
    assert source.facts() == {}
    source.close()


def test_a_dump_says_who_wrote_it_and_when(rdb: Path, server_url: str) -> None:
    dump = read_dump_file(rdb)
    with redis.Redis.from_url(server_url) as client:
        facts: Any = client.info("server")
    program = "Valkey" if "valkey_version" in facts else "Redis"
    version = facts.get("valkey_version", facts["redis_version"])
    assert dump.writer == f"{program} {version}"
    assert abs(dump.at_ms - time.time() * 1000) < 60_000
    assert not dump.is_append_only


def test_reading_a_dump_leaves_it_as_it_is(rdb: Path) -> None:
    before, time_before = rdb.read_bytes(), rdb.stat().st_mtime_ns
    open_source(rdb).close()
    assert rdb.read_bytes() == before
    assert rdb.stat().st_mtime_ns == time_before
    assert [path.name for path in rdb.parent.iterdir()] == ["dump.rdb"]


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"REDIS0012", r"version 12 of Redis's RDB format, written by Redis 8\.0\.1; .* Valkey \d+\.\d+"),
        (b"VALKEY999", r"version 999 of Valkey's RDB format, written by Redis 8\.0\.1; .* Valkey \d+\.\d+"),
    ],
)
def test_a_dump_of_a_newer_server_is_refused_with_both_versions(
    begin: bytes, words: str, somewhere: Path
) -> None:
    somewhere.write_bytes(begin + b"\xfa\x09redis-ver\x058.0.1\xff" + bytes(8))
    with pytest.raises(SourceError, match=words):
        open_source(somewhere)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_dump_that_was_cut_off_is_refused(rdb: Path, keep: float) -> None:
    whole = rdb.read_bytes()
    rdb.write_bytes(whole[: int(len(whole) * keep)])
    cut = rdb.read_bytes()
    with pytest.raises(SourceError, match="damaged"):
        open_source(rdb)
    assert rdb.read_bytes() == cut


def test_an_append_only_file_may_end_in_the_middle_of_a_command(somewhere: Path) -> None:
    commands = [
        [b"HSET", b"{socket.io}:epoch", b"id", b"e"],
        [b"XADD", b"socket.io", b"5-1", b"a", b"b"],
        [b"XADD", b"socket.io", b"5-2", b"a", b"b"],
    ]
    text = b"".join(map(_packed, commands))
    somewhere.write_bytes(b"#TS:1700000000\r\n" + text[:-4])
    before = somewhere.read_bytes()
    source = open_source(somewhere)
    assert source.length() == 1
    assert source.now_ms() == 1700000000_000
    source.close()
    assert somewhere.read_bytes() == before


def _packed(command: list[bytes]) -> bytes:
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)
    return b"*%d\r\n%s" % (len(command), parts)


def test_another_database_is_read_if_it_is_named(valkey_url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(f"{valkey_url}?db=3") as client:
        client.xadd("socket.io", {"a": "b"}, id="5-1")
    rdb = _dumped(valkey_url, tmp_path / "dump.rdb")
    with redis.Redis.from_url(f"{valkey_url}?db=3") as client:
        client.flushdb()
    for database, length in ((0, 0), (3, 1)):
        source = open_source(rdb, database=database)
        assert source.length() == length
        source.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK\x03\x04", b"file nothing\n", b"SIORECO"],
    ids=repr,
)
def test_another_file_is_refused(content: bytes, somewhere: Path) -> None:
    somewhere.write_bytes(content)
    with pytest.raises(SourceError):
        open_source(somewhere)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="0 manifests"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    "field",
    [b"\xc3\x01\x02", b"\x80\xff\xff\xff\xff", b"\x81", b"", b"\x40"],
    ids=["compressed", "huge", "64 bits", "nothing", "half"],
)
def test_strange_auxiliary_fields_end_the_looking(field: bytes, somewhere: Path) -> None:
    somewhere.write_bytes(b"REDIS0011\xfa\x09redis-ver\x057.2.0\xfa\x01x" + field)
    assert read_dump_file(somewhere).writer == "Redis 7.2.0"


def test_the_moment_of_a_dump_is_read_in_each_size(somewhere: Path) -> None:
    for size, code in ((1, 0), (2, 1), (4, 2)):
        number = struct.pack("<i", 100)[:size]
        somewhere.write_bytes(b"REDIS0011\xfa\x05ctime" + bytes([0xC0 | code]) + number)
        assert read_dump_file(somewhere).at_ms == 100_000


def test_what_had_expired_before_is_gone(tmp_path: Path) -> None:
    """A server writes keys that have expired and that nobody has looked at since; alive they are not."""
    with EmbeddedServer(options=("--enable-debug-command", "yes")) as server:
        store = open_store(server.url, stream_name="socket.io", session_key_prefix="sio:session:")
        epoch = store.execute(OpenStream(Epoch("e"))).epoch
        store.execute(_save(ONE, epoch, ttl_ms=10**6))
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            store.execute(_save(TWO, epoch, ttl_ms=1))
            before = _dumped(server.url, tmp_path / "before.rdb")
            later: Any = read_dump_file(before).at_ms + 2000
            wait_until(lambda: _clock(client) > later, what="two seconds passed")
            client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            after = _dumped(server.url, tmp_path / "after.rdb")
        store.close()
    with closing(open_source(before)) as source:
        assert {session.pid for session in find_sessions(source)} == {ONE, TWO}
    with closing(open_source(after)) as source:
        assert {session.pid for session in find_sessions(source)} == {ONE}


def _clock(client: Any) -> int:
    seconds, _ = client.time()
    return int(seconds) * 1000
