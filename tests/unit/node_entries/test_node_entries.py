"""What Node's adapter writes is read as Node was told: recorded from a real one, not pasted."""

import base64

import msgpack
import pytest
from socketio.packet import Packet

from adapter.frames import EioFrames
from recovery.core.control import Disconnection, RoomsChange, read_control
from recovery.core.packets import StoredEntry
from recovery.entries import Kind, PayloadCodec
from recovery.errors import MalformedError
from recovery.records import Namespace
from recovery.sessions import decode_session
from tests.unit.builders import Frame
from tests.unit.node_entries.conftest import Written
from tests.unit.node_entries.orders import DISCONNECTIONS, EMITS, MOVES, ORDERS, Order

CODEC = PayloadCodec()


def _stored(written: Written, order: Order) -> StoredEntry[Frame]:
    return StoredEntry.read(written.entries[ORDERS.index(order)])


def test_each_order_became_one_entry(written: Written) -> None:
    assert len(written.entries) == len(ORDERS)
    assert [entry.offset for entry in written.entries] == sorted(entry.offset for entry in written.entries)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.act} {order.args[:1]}"[:40])
def test_the_head_tells_kind_and_namespace_and_leaves_the_rooms_to_the_data(
    written: Written, order: Order
) -> None:
    head = _stored(written, order).head
    assert head is not None
    kinds = {
        "emit": Kind.BROADCAST,
        "socketsJoin": Kind.JOIN,
        "socketsLeave": Kind.LEAVE,
        "disconnectSockets": Kind.DISCONNECT,
    }
    assert (head.kind, head.namespace) == (kinds[order.act], order.namespace)
    assert (head.rooms, head.target) == (None, None)
    assert head.server


@pytest.mark.parametrize("order", EMITS, ids=lambda order: order.args[0])
def test_an_event_is_what_node_was_told_to_emit(written: Written, order: Order) -> None:
    event = _stored(written, order).broadcast(CODEC)
    assert list(event.args) == (order.seen or order.args)
    assert event.audience == order.audience
    assert (event.volatile, event.ack, event.recoverable) == (order.volatile, None, not order.volatile)


@pytest.mark.parametrize("order", EMITS, ids=lambda order: order.args[0])
def test_an_event_can_be_sent_to_a_javascript_client(written: Written, order: Order) -> None:
    frames = _stored(written, order).frames(CODEC, EioFrames(Packet, lambda *_: 1), with_offset=True)  # type: ignore[arg-type]  # real frames in place of fake ones
    text = str(frames[0].data)  # type: ignore[attr-defined]  # an Engine.IO packet
    assert "NaN" not in text, "JSON.parse() would refuse it, and the client would be cut off"
    assert text.endswith(f'"{written.entries[ORDERS.index(order)].offset}"]')


@pytest.mark.parametrize("order", MOVES, ids=lambda order: f"{order.act} {order.args}")
def test_a_change_of_rooms_is_what_node_was_told(written: Written, order: Order) -> None:
    rooms = order.args[0] if isinstance(order.args[0], list) else order.args
    assert read_control(_stored(written, order), CODEC) == RoomsChange(
        Namespace(order.namespace), order.audience, rooms, entered=order.act == "socketsJoin"
    )


@pytest.mark.parametrize("order", DISCONNECTIONS, ids=str)
def test_a_disconnection_is_what_node_was_told(written: Written, order: Order) -> None:
    expected = Disconnection(Namespace(order.namespace), order.audience, close=order.args == [True])
    assert read_control(_stored(written, order), CODEC) == expected


def test_a_session_that_node_saved_is_told_from_ours(written: Written) -> None:
    with pytest.raises(MalformedError, match="nsp"):
        decode_session(written.session)


def test_a_session_that_node_saved_has_the_fields_that_ours_begins_with(written: Written) -> None:
    fields = msgpack.unpackb(base64.b64decode(written.session))
    assert set(fields) == {"sid", "pid", "rooms", "data"}
    assert (fields["sid"], fields["pid"]) == (written.sid, written.pid)
    assert set(fields["rooms"]) == {written.sid, "news", "sport"}
    assert fields["data"] == {"user": {"id": 5, "name": "Ada"}, "key": b"\x00\xff"}
