"""Opening a store: by URL, by client, by store; and what is said of everything else."""

import subprocess
import sys
from typing import Any

import pytest
import redis
import valkey
from redis import asyncio as aredis
from redis.connection import Connection
from valkey import asyncio as avalkey

from recovery.commands import GetStream, OpenStream
from recovery.errors import ConfigurationError
from recovery.records import Epoch
from recovery.stores import open_async_store, open_store
from recovery.stores.memory import AsyncMemoryStore, MemoryStore
from recovery.stores.redis import connections
from recovery.stores.redis.endpoints import endpoint_of_client, endpoint_of_url
from tests.contract.subject import opened

NAMES = {"stream_name": "socket.io", "session_key_prefix": "sio:session:"}

# Spellings of every way to make a client, so that a new release of either library is tried on all.
CLIENTS: dict[str, Any] = {  # classes of two libraries and two colours
    "redis": redis.Redis,
    "redis.asyncio": aredis.Redis,
    "valkey": valkey.Valkey,
    "valkey.asyncio": avalkey.Valkey,
}


async def test_stores_of_one_name_share_their_data_in_both_colours() -> None:
    sync, other = opened("memory://shared", "sync"), opened("memory://shared", "async")
    state = await sync.execute(OpenStream(Epoch("first")))
    seen = await other.execute(GetStream())
    assert seen is not None
    assert seen.last == state.last
    await sync.close()
    assert (await other.execute(GetStream())) is not None, "closing one does not close the other"
    await other.close()


async def test_a_store_without_a_name_is_private() -> None:
    ours, theirs = opened("memory://", "sync"), opened("memory://", "async")
    await ours.execute(OpenStream(Epoch("first")))
    assert await theirs.execute(GetStream()) is None


async def test_named_data_is_gone_when_nobody_holds_it() -> None:
    store = opened("memory://passing", "sync")
    await store.execute(OpenStream(Epoch("first")))
    del store
    assert await opened("memory://passing", "sync").execute(GetStream()) is None


@pytest.mark.parametrize("scheme", ["unix", "valkey+unix"])
async def test_a_server_is_opened_by_url(valkey_url: str, scheme: str, colour: str) -> None:
    store = opened(valkey_url.replace("unix", scheme), colour)
    assert (await store.execute(OpenStream(Epoch("first")))).epoch == "first"
    await store.close()


@pytest.mark.parametrize(
    ("url", "place", "kind"),
    [
        ("redis://", "localhost:6379", "Connection"),
        ("redis://me:pass@host:7000/3", "host:7000", "Connection"),
        ("valkey://host", "host:6379", "Connection"),
        ("rediss://host", "host:6379", "SSLConnection"),
        ("valkeys://host", "host:6379", "SSLConnection"),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock", "UnixDomainSocketConnection"),
    ],
)
def test_urls_name_a_place_and_a_kind_of_connection(url: str, place: str, kind: str) -> None:
    endpoint = endpoint_of_url(url)
    assert (endpoint.place, endpoint.kind) == (place, kind)
    assert "pass" not in repr(endpoint)


def test_how_to_talk_is_ours_whatever_the_url_says() -> None:
    url = "redis://host?socket_timeout=1&protocol=3&decode_responses=true&health_check_interval=9&retry_on_timeout=1"
    made: Any = connections.sync_connection(endpoint_of_url(url), wait=7.0)
    timeout = connections.ANSWER_TIMEOUT + 7.0
    assert (made.socket_timeout, made.protocol, made.health_check_interval) == (timeout, 2, 0)
    assert not made.encoder.decode_responses
    assert made.retry.get_retries() == 0


@pytest.mark.parametrize("library", CLIENTS)
@pytest.mark.parametrize(
    "options", [{}, {"decode_responses": True, "protocol": 3}], ids=["plain", "decoding"]
)
async def test_a_ready_client_lends_its_address_and_is_left_alone(
    valkey_url: str, colour: str, library: str, options: dict[str, Any]
) -> None:
    client = CLIENTS[library].from_url(valkey_url, db=1, **options)
    before = dict(client.connection_pool.connection_kwargs)
    store = opened(client, colour)
    await store.execute(OpenStream(Epoch("first")))
    await store.close()
    assert client.connection_pool.connection_kwargs == before
    looking = redis.Redis.from_url(valkey_url, db=1)
    assert looking.exists("socket.io") == 1, "the client's database was used"
    looking.close()
    assert not _connections_of(client), "the client itself was not used"


def _connections_of(client: Any) -> list[object]:
    pool = client.connection_pool
    return [*pool._available_connections, *pool._in_use_connections]


@pytest.mark.parametrize("library", CLIENTS)
def test_a_client_with_tls_lends_its_certificates(library: str) -> None:
    client = CLIENTS[library](host="h", ssl=True, ssl_ca_certs="/ca.pem", ssl_cert_reqs="required")
    endpoint = endpoint_of_client(client)
    for made in (connections.sync_connection(endpoint), connections.async_connection(endpoint)):
        assert type(made).__name__ == "SSLConnection"
    assert endpoint.options["ssl_ca_certs"] == "/ca.pem"


def test_a_client_that_does_not_verify_still_does_not() -> None:
    endpoint = endpoint_of_client(redis.Redis(ssl=True, ssl_cert_reqs=None))  # type: ignore[arg-type]  # old spelling of "none"
    assert endpoint.options["ssl_cert_reqs"] == "none"


class OwnConnection(Connection):
    """A class of the caller's own."""


def test_a_connection_class_of_the_callers_own_is_kept_in_its_colour() -> None:
    pool = redis.ConnectionPool(connection_class=OwnConnection, host="h")
    client = redis.Redis(connection_pool=pool)
    made: Any = connections.sync_connection(endpoint_of_client(client))
    assert isinstance(made, OwnConnection)
    with pytest.raises(ConfigurationError, match="OwnConnection"):
        connections.async_connection(endpoint_of_client(client))


async def test_a_store_is_taken_as_it_is() -> None:
    sync, other = MemoryStore(), AsyncMemoryStore()
    assert open_store(sync, **NAMES) is sync
    assert open_async_store(other, **NAMES) is other


def test_a_store_of_the_other_colour_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AsyncMemoryStore has coroutines: expected"):
        open_store(AsyncMemoryStore(), **NAMES)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigurationError, match="MemoryStore has methods that block: expected"):
        open_async_store(MemoryStore(), **NAMES)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("localhost:6379", "expected one of memory://"),
        ("http://user:hush@localhost", r"'http://user:\*\*\*@localhost'; expected one of"),
        ("redis://:hush@host:port", r"redis://:\*\*\*@host:port"),
        ("redis://host?colour=blue", "colour"),
        ("redis://host?socket_keepalive=maybe&db=x", "'redis://host"),
        ("redis+sentinel://:hush@host", "has to name one service"),
        ("redis+sentinel://:hush@host/0", "has to name one service"),
        ("redis+sentinel://:hush@host/main/0/other", "has to name one service"),
        ("redis+sentinel://:hush@one,/main", "a host is missing"),
        (
            "redis+sentinel://:hush@one:port/main?sentinel_password=hush",
            r":\*\*\*@one:port.*password=\*\*\*'",
        ),
        ("redis+sentinel://one/main?sentinel_colour=blue", "colour"),
        ("redis+cluster://:hush@host/1", "a cluster has no database but 0"),
        ("valkey+cluster://:hush@one,", "a host is missing"),
        ("redis+cluster://:hush@one:port", r":\*\*\*@one:port"),
        ("redis+cluster://one?colour=blue", "colour"),
        (None, "expected a store URL"),
        (42, "expected a store URL.* not builtins.int"),
    ],
)
def test_whatever_else_is_refused_with_what_to_write_instead(source: Any, message: str) -> None:
    for open_it in (open_store, open_async_store):
        with pytest.raises(ConfigurationError, match=message) as caught:
            open_it(source, **NAMES)
        assert "hush" not in str(caught.value)


def test_a_store_in_memory_does_not_import_redis() -> None:
    program = (
        "import sys; from recovery.stores import open_store;"
        "open_store('memory://', stream_name='s', session_key_prefix='p');"
        "sys.exit('redis' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
