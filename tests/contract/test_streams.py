"""Further streams keep their contract on every store that has them (`recovery.streams`)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recovery.commands import AsyncStore, Claimed, OpenStream, Read
from recovery.errors import StoreUnavailableError
from recovery.offsets import ORIGIN
from recovery.records import Epoch
from recovery.stores import open_async_store
from recovery.streams import HasStreams
from tests.contract.builders import append, claim, save
from tests.contract.conftest import Place
from tests.servers import SERVER_KINDS

NAMES = {"stream_name": "socket.io", "session_key_prefix": "sio:session:"}


@pytest.fixture(params=["memory", *SERVER_KINDS, "sentinel", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """A store that has streams."""
    if request.param == "memory":
        return f"memory://{request.node.nodeid}"
    if request.param == "sentinel":
        place: Place = request.getfixturevalue("sentinel_place")
        return place.url
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest_asyncio.fixture
async def base(url: str) -> AsyncIterator[AsyncStore]:
    """The store of one server."""
    store = open_async_store(url, **NAMES)
    yield store
    await store.close()


def _stream(store: AsyncStore, number: int) -> AsyncStore:
    assert isinstance(store, HasStreams)
    return store.stream(f"socket.io-{number}")


async def test_streams_have_nothing_in_common(base: AsyncStore) -> None:
    zero, one = _stream(base, 0), _stream(base, 1)
    await zero.execute(OpenStream(Epoch("of-zero")))
    opened = await one.execute(OpenStream(Epoch("of-one")))
    assert opened.epoch == "of-one"
    await zero.execute(append(b"a", b"b"))
    appended = await one.execute(append(b"c"))
    assert (appended.epoch, len(appended.offsets)) == ("of-one", 1), "the same batch, of another stream"
    in_zero, in_one = [await each.execute(Read(ORIGIN, 10, 0)) for each in (zero, one)]
    assert [entry.fields.get(b"data") for entry in in_zero] == [None, b"a", b"b"]
    assert [entry.fields.get(b"data") for entry in in_one] == [None, b"c"]
    for store in (zero, one):
        await store.close()


async def test_a_stream_is_the_same_for_all_who_open_it(base: AsyncStore, url: str) -> None:
    mine = _stream(base, 0)
    other_base = open_async_store(url, **NAMES)
    theirs = _stream(other_base, 0)
    await mine.execute(OpenStream(Epoch("e")))
    await mine.execute(append(b"a"))
    entries = await theirs.execute(Read(ORIGIN, 10, 0))
    assert [entry.fields.get(b"data") for entry in entries] == [None, b"a"]
    for store in (mine, theirs, other_base):
        await store.close()


async def test_sessions_are_those_of_all_streams(base: AsyncStore) -> None:
    zero, one = _stream(base, 0), _stream(base, 1)
    await zero.execute(save(value=b"mine", create=True))
    claimed = await one.execute(claim())
    assert isinstance(claimed, Claimed)
    assert claimed.value == b"mine"
    for store in (zero, one):
        await store.close()


async def test_a_stream_is_closed_by_itself(base: AsyncStore) -> None:
    zero, one = _stream(base, 0), _stream(base, 1)
    await zero.execute(OpenStream(Epoch("e")))
    await zero.close()
    with pytest.raises(StoreUnavailableError):
        await zero.execute(OpenStream(Epoch("e")))
    assert (await one.execute(OpenStream(Epoch("e")))).epoch == "e"
    await one.close()
