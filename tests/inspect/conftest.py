"""One data set, of a real cluster, in each form that the inspector reads."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recovery.inspect import Source, open_source, write_snapshot
from recovery.stores.embedded import EmbeddedServer
from tests.e2e.conftest import node
from tests.inspect.chromium import Browser, browser_is_missing
from tests.inspect.recording import Recorded, record

__all__ = ["node"]

KINDS = ("live", "snapshot", "rdb")
collect_ignore = [] if os.environ.get("INSPECT_LARGE") else ["test_large.py"]


@pytest.fixture(scope="session")
def recorded(node: None) -> Iterator[Recorded]:
    """What a real cluster left behind, in a Valkey that nobody else writes to."""
    with EmbeddedServer() as server, ThreadPoolExecutor(1) as thread:
        yield thread.submit(record, server).result(timeout=120)


@pytest.fixture(scope="session")
def places(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The data set as a live store, a snapshot and an RDB file."""
    folder = tmp_path_factory.mktemp("inspect")
    source = open_source(recorded.url)
    write_snapshot(source, folder / "cluster.snapshot")
    source.close()
    rdb = recorded.copy_rdb(folder / "dump.rdb")
    return {"live": recorded.url, "snapshot": str(folder / "cluster.snapshot"), "rdb": str(rdb)}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each form in turn."""
    return str(request.param)


@pytest.fixture
def source(kind: str, places: dict[str, str]) -> Iterator[Source]:
    """The data set as a source, in each form."""
    opened = open_source(places[kind])
    yield opened
    opened.close()


@pytest.fixture
def live(recorded: Recorded) -> Iterator[Source]:
    """The data set as it lies in its store."""
    opened = open_source(recorded.url)
    yield opened
    opened.close()


@pytest.fixture
def somewhere(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "file"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests that need one."""
    missing = browser_is_missing()
    if missing:
        if os.environ.get("CI"):
            raise AssertionError(missing)
        pytest.skip(missing)
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser, as if nobody had used it."""
    chromium.reset()
    return chromium
