"""`rediss://`: the store over TLS, and who is refused."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.aio.bridge import Bridge
from recovery.aio.tasks import end_tasks
from recovery.commands import Appended, GetStream, Read
from recovery.errors import StoreError
from recovery.flows.bridging import Terms
from recovery.offsets import ORIGIN
from recovery.records import Audience, Namespace
from recovery.stores.embedded import EmbeddedServer
from tests.contract.builders import append
from tests.contract.subject import opened
from tests.tls import Tls
from tests.unit.builders import DRAFTS


@pytest.fixture(params=("async", "sync"))
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(redis70_url: str, redis70_tls: Tls) -> Tls:
    return redis70_tls


async def test_a_store_over_tls_works(empty: Tls, colour: str) -> None:
    store = opened(f"rediss://{empty.place}?ssl_ca_certs={empty.authority}", colour)
    assert isinstance(await store.execute(append(b"a")), Appended)
    assert len(await store.execute(Read(ORIGIN, 10, 10))) == 2
    await store.close()


async def test_a_bridge_carries_over_tls(empty: Tls, valkey_url: str) -> None:
    source = opened(valkey_url, "async")
    target = opened(f"rediss://{empty.place}?ssl_ca_certs={empty.authority}", "async")
    bridge = Bridge(source, target, Terms("elsewhere", retention_ms=60_000), block_time=0.1)
    running = asyncio.create_task(bridge.run())
    async with asyncio.timeout(20):
        while bridge.meters.position is None:
            await asyncio.sleep(0.01)
        packet = DRAFTS.broadcast(Namespace("/"), ["news", 1], Audience())
        await source.execute(append(drafts=(packet,)))
        while bridge.meters.crossed == 0:
            await asyncio.sleep(0.01)
    [_, carried] = await target.execute(Read(ORIGIN, 10, 0))
    assert carried.fields[b"via"] == b"elsewhere"
    await end_tasks([running])
    await source.close()
    await target.close()


async def test_nothing_is_left_open_of_a_store_that_was_closed(empty: Tls) -> None:
    """The event loop may end at once; what it still watched then, Python would complain of."""
    watched: Any = asyncio.get_running_loop()
    before = set(watched._selector.get_map())
    store = opened(f"rediss://{empty.place}?ssl_ca_certs={empty.authority}", "async")
    await store.execute(append(b"a"))
    assert set(watched._selector.get_map()) > before
    await store.close()
    assert set(watched._selector.get_map()) == before


async def test_a_client_of_redis_py_lends_its_certificates(empty: Tls, colour: str) -> None:
    host, _, port = empty.place.partition(":")
    client: Any = redis.Redis(
        host=host,
        port=int(port),
        ssl=True,
        ssl_ca_certs=str(empty.authority),
        ssl_certfile=str(empty.client_certificate),
        ssl_keyfile=str(empty.client_certificate),
        ssl_min_version=ssl.TLSVersion.TLSv1_3,
    )
    store = opened(client, colour)
    assert await store.execute(GetStream()) is None
    await store.close()
    client.close()


@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("rediss", ""),
        ("rediss", "?ssl_ca_certs={other}"),
        ("redis", ""),
    ],
    ids=["an authority that the system does not know", "another authority", "no TLS"],
)
async def test_nobody_is_talked_to_who_cannot_be_trusted(
    empty: Tls, colour: str, scheme: str, query: str
) -> None:
    store = opened(f"{scheme}://{empty.place}{query.format(other=empty.other_authority)}", colour)
    with pytest.raises(StoreError):
        await store.execute(append(b"a"))
    await store.close()


async def test_a_certificate_for_another_host_is_refused(
    empty: Tls, colour: str, redis70_server: EmbeddedServer
) -> None:
    """Of a right authority, but for somebody else: the name is checked, too."""
    client: Any = redis.Redis.from_url(redis70_server.url)  # its types are those of both colours at once
    with client as admin:
        own = (
            admin.config_get("tls-cert-file")["tls-cert-file"],
            admin.config_get("tls-key-file")["tls-key-file"],
        )
        _present(admin, empty.certificate_of_another, empty.certificate_of_another)
        try:
            store = opened(f"rediss://{empty.place}?ssl_ca_certs={empty.authority}", colour)
            with pytest.raises(StoreError, match="certificate"):
                await store.execute(append(b"a"))
            await store.close()
        finally:
            _present(admin, *own)


def _present(admin: Any, certificate: Path | str, key: Path | str) -> None:
    admin.execute_command("CONFIG", "SET", "tls-cert-file", str(certificate), "tls-key-file", str(key))
