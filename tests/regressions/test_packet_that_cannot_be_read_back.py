"""An emit returned as if its packet were stored, and every server skipped it as malformed (promise P7).

A tuple as a key beside binary, and rooms that are neither text nor whole numbers, can be written and not
read.
"""

from typing import Any

import pytest

from recovery.errors import EncodingError
from recovery.records import Audience, Draft
from tests.unit.builders import DRAFTS, NSP, stored


def _emit(*args: Any, rooms: tuple[Any, ...] = (), excluded: tuple[Any, ...] = ()) -> Draft:
    return DRAFTS.broadcast(NSP, ["event", *args], Audience(rooms, excluded))


@pytest.mark.parametrize(
    "emitted",
    [
        pytest.param({"args": ({(1, 2): b""},)}, id="a tuple as a key beside binary"),
        pytest.param({"rooms": (("game", 1),)}, id="a tuple as a room"),
        pytest.param({"rooms": (1.5,)}, id="a float as a room"),
        pytest.param({"rooms": ("ok", None)}, id="None among rooms"),
        pytest.param({"excluded": (("game", 1),)}, id="a tuple to be left out"),
    ],
)
def test_what_can_be_emitted_can_be_read_back_or_raises_at_once(emitted: dict[str, Any]) -> None:
    args = emitted.pop("args", ())
    try:
        draft = _emit(*args, **emitted)
    except EncodingError:
        return
    packet = stored(draft, 1)
    assert packet.head is not None
    assert list(packet.broadcast(DRAFTS.codec).args) == ["event", *args]
