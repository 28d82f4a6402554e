"""How a store finds the primary: whom it asks, whom it believes, and what it says where there is none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis
import valkey
from redis import asyncio as aredis
from valkey import asyncio as avalkey

from recovery.commands import Append, Appended, GetStream, OpenStream, Read
from recovery.errors import ConfigurationError, StoreError, StoreUnavailableError
from recovery.offsets import ORIGIN, Offset
from recovery.records import Epoch
from recovery.stores import endpoint_of, open_async_store, open_store
from tests.contract.builders import append
from tests.contract.subject import Subject, opened
from tests.faults.redis_process import RedisProcess
from tests.inspect.commands import run
from tests.ports import free_port
from tests.sentinel.fake import FakeSentinel, fake_sentinel

NAMES = {"stream_name": "socket.io", "session_key_prefix": "sio:session:"}
LIBRARIES: dict[str, Any] = {  # classes of two libraries and two colours
    "redis": redis.Sentinel,
    "redis.asyncio": aredis.Sentinel,
    "valkey": valkey.Sentinel,
    "valkey.asyncio": avalkey.Sentinel,
}


@pytest.fixture(params=("async", "sync"))
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def two_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    folder = tmp_path_factory.mktemp("servers")
    with RedisProcess("valkey", folder / "a") as one, RedisProcess("valkey", folder / "b") as two:
        yield one, two


@pytest.fixture
def servers(two_servers: tuple[RedisProcess, RedisProcess]) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """Two empty primaries that do not know of one another."""
    yield two_servers
    for each in two_servers:
        each.replica_of(None)
        each.client.flushall()


@pytest_asyncio.fixture
async def sentinel(servers: tuple[RedisProcess, RedisProcess]) -> AsyncIterator[FakeSentinel]:
    """It tells the first of them."""
    async with fake_sentinel(servers[0].port) as made:
        yield made


def url_of(*ports: int, rest: str = "main") -> str:
    return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/{rest}"


async def refused(store: Subject) -> StoreError:
    """What an attempt to read ends with."""
    with pytest.raises(StoreError) as caught:
        await store.execute(GetStream())
    await store.close()
    return caught.value


async def insisted(store: Subject, command: Append) -> Appended:
    """Append, and once more if the server had hung up and that was not known yet: nothing is stored twice."""
    try:
        return await store.execute(command)
    except StoreUnavailableError:
        return await store.execute(command)


async def test_a_sentinel_that_does_not_answer_is_passed_by_and_asked_last(
    sentinel: FakeSentinel, colour: str
) -> None:
    dead = free_port()
    endpoint = endpoint_of(url_of(dead, sentinel.port))
    assert endpoint.sentinels is not None
    assert [each.options["port"] for each in endpoint.sentinels.endpoints] == [dead, sentinel.port]
    store = opened(url_of(dead, sentinel.port), colour)
    assert (await store.execute(OpenStream(Epoch("first")))).epoch == "first"
    assert sentinel.asked == 1
    await store.close()


async def test_who_has_told_is_asked_first_next_time(sentinel: FakeSentinel, colour: str) -> None:
    async with fake_sentinel(None) as ignorant:
        store = opened(url_of(ignorant.port, sentinel.port), colour)
        await store.execute(GetStream())  # on one connection
        await store.execute(Read(ORIGIN, 1, 1))  # on the other
        assert (ignorant.asked, sentinel.asked) == (1, 2)
        await store.close()


async def test_where_nobody_answers_each_is_named(colour: str) -> None:
    ports = free_port(), free_port()
    error = await refused(opened(url_of(*ports), colour))
    assert isinstance(error, StoreUnavailableError)
    assert not error.maybe_applied
    assert all(f"no answer from 127.0.0.1:{port}" in str(error) for port in ports)


async def test_a_service_that_nobody_knows_is_a_mistake_and_no_outage(colour: str) -> None:
    async with fake_sentinel(None) as one, fake_sentinel(None) as two:
        error = await refused(opened(url_of(one.port, two.port, rest="other"), colour))
        assert not isinstance(error, StoreUnavailableError)
        assert f"127.0.0.1:{two.port} knows no service 'other'" in str(error)


async def test_the_command_line_says_so(sentinel: FakeSentinel) -> None:
    sentinel.tells = None
    answer = await asyncio.to_thread(run, "sessions", "--url", url_of(sentinel.port, rest="other"))
    assert answer.status == 3
    assert f"127.0.0.1:{sentinel.port} knows no service 'other'" in answer.err


async def test_a_service_that_one_does_not_know_may_be_known_to_who_does_not_answer(colour: str) -> None:
    async with fake_sentinel(None) as one:
        error = await refused(opened(url_of(one.port, free_port()), colour))
        assert isinstance(error, StoreUnavailableError)


async def test_a_replica_is_not_written_to_whoever_tells_it(
    servers: tuple[RedisProcess, RedisProcess], sentinel: FakeSentinel, colour: str
) -> None:
    """A sentinel may be behind; as soon as it, or the server, is not, all is well."""
    servers[0].become_lonely_replica()
    store = opened(url_of(sentinel.port), colour)
    with pytest.raises(StoreUnavailableError, match="is no primary"):
        await store.execute(GetStream())
    servers[0].replica_of(None)
    assert await store.execute(GetStream()) is None
    await store.close()


async def test_a_connection_to_a_server_that_became_a_replica_is_given_up(
    servers: tuple[RedisProcess, RedisProcess], sentinel: FakeSentinel, colour: str
) -> None:
    """It answers, and hangs up on nobody: only its refusal to write tells."""
    one, two = servers
    store = opened(url_of(sentinel.port), colour)
    await store.execute(append(b"a"))
    one.become_lonely_replica()
    sentinel.tells = two.port
    with pytest.raises(StoreUnavailableError, match="READONLY") as caught:
        await store.execute(append(b"b", sequence=2))
    assert not caught.value.maybe_applied
    await store.execute(append(b"b", sequence=2))
    assert (one.client.xlen("socket.io"), two.client.xlen("socket.io")) == (2, 2)  # with its first entry
    await store.close()


async def test_what_one_connection_finds_the_other_follows(
    servers: tuple[RedisProcess, RedisProcess], sentinel: FakeSentinel, colour: str
) -> None:
    """The one that reads would wait on the old primary for ever: it lives, and gets nothing any more."""
    one, two = servers
    store = opened(url_of(sentinel.port), colour)
    await store.execute(append(b"a"))
    assert len(await store.execute(Read(ORIGIN, 1, 10))) == 1  # by XREAD: that tells the connections apart
    sentinel.tells = two.port
    _hang_up(one, "xadd", "eval", "evalsha")
    appended = await insisted(store, append(b"b", sequence=2))
    with pytest.raises(StoreUnavailableError):  # whoever reads has to know of the interruption
        await store.execute(Read(ORIGIN, 10, 10))
    entries = await store.execute(Read(Offset(0, 0), 10, 10))
    assert entries[-1].offset == appended.offsets[0]
    assert two.client.xlen("socket.io") == len(entries)
    await store.close()


def _hang_up(server: RedisProcess, *last_commands: str) -> None:
    """End the connections of whoever has last said one of these."""
    killed = [each for each in server.client.client_list() if each["cmd"].split("|")[0] in last_commands]
    assert len(killed) == 1
    server.client.client_kill_filter(_id=killed[0]["id"])


async def test_an_old_primary_that_comes_back_is_not_the_primary_because_it_was(
    servers: tuple[RedisProcess, RedisProcess], sentinel: FakeSentinel, colour: str
) -> None:
    one, two = servers
    store = opened(url_of(sentinel.port), colour)
    for tells, held in ((one, (2, 0)), (two, (2, 2)), (one, (3, 2))):
        sentinel.tells = tells.port
        for each in servers:
            each.client.client_kill_filter(_type="normal", skipme=True)
        sequence = sum(held)
        await insisted(store, append(b"x", sequence=sequence))
        assert (one.client.xlen("socket.io"), two.client.xlen("socket.io")) == held
    await store.close()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_client_of_master_for_is_taken_and_left_alone(
    servers: tuple[RedisProcess, RedisProcess], sentinel: FakeSentinel, colour: str, library: str
) -> None:
    manager = LIBRARIES[library]([("127.0.0.1", sentinel.port)], decode_responses=True)
    client = manager.master_for("main", db=1)
    store = opened(client, colour)
    await store.execute(OpenStream(Epoch("first")))
    await store.close()
    sentinel.tells = servers[1].port
    again = opened(client, colour)
    assert await again.execute(GetStream()) is None, "the primary is looked for by each store"
    await again.close()
    looking = redis.Redis(port=servers[0].port, db=1)
    assert looking.exists("socket.io") == 1, "the client's database was used"
    looking.close()
    pool = client.connection_pool
    assert not [*pool._available_connections, *pool._in_use_connections], "the client itself was not used"


async def test_a_sentinel_that_sees_too_few_others_is_not_believed(
    sentinel: FakeSentinel, colour: str
) -> None:
    """As ``min_other_sentinels`` of redis-py has it: it may be cut off."""
    manager = LIBRARIES["redis"]([("127.0.0.1", sentinel.port)], min_other_sentinels=3)
    store = opened(manager.master_for("main"), colour)
    with pytest.raises(StoreUnavailableError, match="sees 2 other sentinels, not 3"):
        await store.execute(GetStream())
    sentinel.others = 3
    assert await store.execute(GetStream()) is None
    await store.close()


async def test_a_host_that_is_forced_goes_before_what_sentinels_tell(
    sentinel: FakeSentinel, colour: str
) -> None:
    manager = LIBRARIES["redis"]([("127.0.0.1", sentinel.port)], force_master_ip="no-such-host.invalid")
    error = await refused(opened(manager.master_for("main"), colour))
    assert "no-such-host.invalid" in str(error)


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_else_comes_from_sentinels_is_refused(library: str) -> None:
    manager = LIBRARIES[library]([("127.0.0.1", 1)])
    for source, message in [
        (manager.slave_for("main"), "reads from replicas: expected one that master_for"),
        (manager, r"expected a client that .*Sentinel.master_for\(SERVICE\) makes"),
    ]:
        for open_it in (open_store, open_async_store):
            with pytest.raises(ConfigurationError, match=message):
                open_it(source, **NAMES)


@pytest.mark.parametrize(
    ("url", "service", "database", "sentinels"),
    [
        ("redis+sentinel://one/main", "main", 0, ["one:26379"]),
        ("redis+sentinel://one:1,two/main/3", "main", 3, ["one:1", "two:26379"]),
        ("valkey+sentinel://one/3/main", "main", 3, ["one:26379"]),
        ("redis+sentinel://[::1],[::2]:5/my%20main", "my main", 0, ["::1:26379", "::2:5"]),
    ],
)
def test_a_url_names_sentinels_a_service_and_a_database(
    url: str, service: str, database: int, sentinels: list[str]
) -> None:
    """Either may come first: python-socketio's own managers want the database there."""
    endpoint = endpoint_of(url)
    assert endpoint.sentinels is not None
    assert (endpoint.sentinels.service, endpoint.options["db"]) == (service, database)
    assert [each.place for each in endpoint.sentinels.endpoints] == sentinels


def test_credentials_are_for_the_primary_and_certificates_for_both() -> None:
    url = (
        "rediss+sentinel://ann:hush@one/main?ssl_ca_certs=/ca.pem&client_name=me"
        "&sentinel_username=bob&sentinel_password=secret&sentinel_ssl_ca_certs=/other.pem"
    )
    endpoint = endpoint_of(url)
    assert endpoint.sentinels is not None
    [sentinel] = endpoint.sentinels.endpoints
    assert {endpoint.kind, sentinel.kind} == {"SSLConnection"}
    assert dict(endpoint.options) == {
        "username": "ann",
        "password": "hush",
        "ssl_ca_certs": "/ca.pem",
        "client_name": "me",
        "db": 0,
    }
    assert dict(sentinel.options) == {
        "host": "one",
        "port": 26379,
        "username": "bob",
        "password": "secret",
        "ssl_ca_certs": "/other.pem",
    }
    assert not any(word in repr(endpoint) for word in ("hush", "secret"))
