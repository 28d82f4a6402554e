"""`Read` and `ReadBack` of many entries: by pieces and by a script (decision 44), with the same result."""

import pytest

from recovery.commands import OpenStream, Read, ReadBack
from recovery.offsets import ORIGIN
from recovery.records import Epoch
from recovery.stores.redis import protocol
from tests.contract.builders import append
from tests.contract.subject import Subject

pytestmark = pytest.mark.everywhere


@pytest.fixture(params=["by pieces", "by a script"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `hiredis`, and as without."""
    monkeypatch.setattr(protocol, "PARSES_IN_C", request.param == "by pieces")


@pytest.mark.parametrize("block_ms", [0, 50])
async def test_what_is_read_is_what_was_appended(store: Subject, block_ms: int) -> None:
    state = await store.execute(OpenStream(Epoch("e")))
    payloads = [bytes([number]) * number for number in range(13)]
    appended = await store.execute(append(*payloads))
    for count in (1, 3, 4, 5, 12, 13, 14, 1000):
        entries = await store.execute(Read(state.last, count, block_ms))
        assert [entry.fields[b"data"] for entry in entries] == payloads[:count]
        assert [entry.offset for entry in entries] == list(appended.offsets[:count])
        assert all(list(entry.fields) == [b"nsp", b"data"] for entry in entries)


async def test_reading_goes_on_anywhere(store: Subject) -> None:
    state = await store.execute(OpenStream(Epoch("e")))
    offsets = [state.last, *(await store.execute(append(*(b"%d" % number for number in range(11))))).offsets]
    for number, after in enumerate(offsets):
        entries = await store.execute(Read(after, 1000, 0))
        assert [entry.offset for entry in entries] == offsets[number + 1 :]


async def test_reading_back_is_reading_in_reverse(store: Subject) -> None:
    await store.execute(append(*(bytes([number]) for number in range(11))))
    entries = await store.execute(Read(ORIGIN, 1000, 0))
    back = await store.execute(ReadBack(entries[-1].offset, 1000))
    assert list(back) == list(reversed(entries))
    assert await store.execute(ReadBack(entries[5].offset, 3)) == back[6:9]
