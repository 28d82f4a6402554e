"""TLS to the sentinels and to the primary, and users with few rights on both: real ones, who refuse."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from recovery.commands import Appended, GetStream
from recovery.errors import StoreError, StoreUnavailableError
from tests.contract.builders import append
from tests.contract.subject import opened
from tests.faults.redis_process import RedisProcess
from tests.ports import free_port
from tests.rights import PASSWORD, documented
from tests.sentinel.processes import SERVICE, SentinelProcess, wait_for
from tests.tls import Tls, issue
from tests.waiting import async_wait_until


@dataclass(frozen=True)
class Secured:
    """A primary and a sentinel that speak TLS, and let nobody in but a user each.

    Attributes:
        server: its operator comes in without TLS.
        port: of the sentinel, for TLS.
        tls: certificates of both.
    """

    server: RedisProcess
    port: int
    tls: Tls

    def url(self, *, password: str = PASSWORD, authority: str = "") -> str:
        """How a server of ours names it."""
        return (
            f"rediss+sentinel://recovery:{PASSWORD}@127.0.0.1:{self.port}/{SERVICE}"
            f"?ssl_ca_certs={authority or self.tls.authority}"
            f"&sentinel_username=asker&sentinel_password={password}"
        )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    tls = issue(folder, free_port())
    files = {
        "tls-cert-file": str(tls.certificate),
        "tls-key-file": str(tls.key),
        "tls-ca-cert-file": str(tls.authority),
        "tls-auth-clients": "no",
    }
    tls_port, asked_at = tls.place.partition(":")[2], free_port()
    own = {name.replace("-", "_"): value for name, value in files.items()}
    with RedisProcess(
        "redis70", folder / "server", keep=False, fsync="no", tls_port=tls_port, **own
    ) as server:
        settings = {**files, "tls-port": str(asked_at), "tls-replication": "yes"}
        sentinel = SentinelProcess("redis70", folder / "sentinel", int(tls_port), quorum=1, settings=settings)
        with sentinel:
            sentinel.client.execute_command("ACL", "SETUSER", "default", "-sentinel|get-master-addr-by-name")
            sentinel.client.execute_command(*documented("acl-asker"))
            wait_for(lambda: sentinel.facts()["flags"] == "master", "the sentinel has found the primary")
            yield Secured(server, asked_at, tls)


@pytest.fixture(params=("async", "sync"))
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def secured(started: Secured) -> Iterator[Secured]:
    """Empty, with the rights of the page for the one user."""
    started.server.client.execute_command(*documented("acl", "acl-sentinel"))
    yield started
    started.server.client.flushall()


async def test_with_certificates_and_a_user_on_each_it_works(secured: Secured, colour: str) -> None:
    store = opened(secured.url(), colour)
    assert isinstance(await store.execute(append(b"a")), Appended)
    await store.close()
    assert secured.server.client.xlen("socket.io") == 2


async def test_the_right_to_ask_for_the_role_is_needed_and_named(secured: Secured, colour: str) -> None:
    secured.server.client.execute_command("ACL", "SETUSER", "recovery", "-role")
    store = opened(secured.url(), colour)
    with pytest.raises(StoreError, match=r"lacks a right: .*'role'.*docs/explanation/security.md") as caught:
        await store.execute(GetStream())
    assert not isinstance(caught.value, StoreUnavailableError)
    await store.close()


async def test_a_sentinel_that_refuses_the_credentials_is_a_mistake_and_no_outage(
    secured: Secured, colour: str
) -> None:
    watched: Any = asyncio.get_running_loop()
    before = set(watched._selector.get_map())
    store = opened(secured.url(password="wrong-one"), colour)
    with pytest.raises(StoreError, match=rf"127.0.0.1:{secured.port} says .*(?i:password)") as caught:
        await store.execute(GetStream())
    assert not isinstance(caught.value, StoreUnavailableError)
    assert "wrong-one" not in str(caught.value)
    await store.close()

    async def nothing_is_open() -> (
        bool
    ):  # redis-py 8.1 drops a connection of refused credentials without waiting
        return set(watched._selector.get_map()) <= before

    await async_wait_until(nothing_is_open, what="everything is closed")


async def test_a_sentinel_that_gives_no_right_to_ask_says_so(secured: Secured, colour: str) -> None:
    url = secured.url().partition("&sentinel_username")[0]  # as its user `default`
    store = opened(url, colour)
    with pytest.raises(StoreError, match="get-master-addr-by-name") as caught:
        await store.execute(GetStream())
    assert not isinstance(caught.value, StoreUnavailableError)
    await store.close()


async def test_a_sentinel_of_another_authority_is_not_asked(secured: Secured, colour: str) -> None:
    store = opened(secured.url(authority=str(secured.tls.other_authority)), colour)
    with pytest.raises(StoreError, match=r"(?i)certificate"):
        await store.execute(GetStream())
    await store.close()


async def test_a_client_of_master_for_brings_all_of_it(secured: Secured, colour: str) -> None:
    certificates = {"ssl": True, "ssl_ca_certs": str(secured.tls.authority)}
    made: Any = redis.Sentinel  # its options are untyped
    manager = made(
        [("127.0.0.1", secured.port)],
        sentinel_kwargs={"username": "asker", "password": PASSWORD, **certificates},
        username="recovery",
        password=PASSWORD,
        **certificates,
    )
    store = opened(manager.master_for(SERVICE), colour)
    assert isinstance(await store.execute(append(b"a")), Appended)
    await store.close()
