"""What one packet and one read may have: said where it is emitted, kept out where it is read."""

from typing import Any

import pytest

from recovery.commands import Command, Read
from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.errors import EncodingError
from recovery.offsets import Offset
from recovery.records import Audience, Draft, Entry, Namespace, ServerId
from tests.hostile.poison import event, fields, inject
from tests.interleavings.harness import World, settle


def _broadcast(drafts: Drafts, size: int) -> Draft:
    return drafts.broadcast(Namespace("/"), ["n", "x" * size], Audience())


async def test_a_packet_that_is_too_large_is_an_error_and_the_others_go_out(world: World) -> None:
    server = world.server(max_packet_bytes=1000)
    client = await world.connected(server)
    with pytest.raises(EncodingError, match=r"has 2\d\d\d bytes, more than max_packet_bytes \(1000\)"):
        await server.sio.emit("n", "x" * 2000)
    with pytest.raises(EncodingError, match="max_packet_bytes"):
        await server.sio.emit("n", b"x" * 900)  # a third more in base64
    await server.sio.emit("n", "x" * 100)
    await settle()
    assert client.got("n") == ["x" * 100]


def test_the_limit_is_exact() -> None:
    size = _broadcast(Drafts(ServerId("s"), PayloadCodec()), 500).size()
    assert _broadcast(Drafts(ServerId("s"), PayloadCodec(), size), 500).size() == size
    with pytest.raises(EncodingError, match=f"has {size} bytes"):
        _broadcast(Drafts(ServerId("s"), PayloadCodec(), size - 1), 500)


async def test_a_callback_of_a_packet_that_did_not_go_out_is_not_kept(world: World) -> None:
    server = world.server(max_packet_bytes=1000)
    client = await world.connected(server)
    with pytest.raises(EncodingError):
        await server.sio.emit("n", "x" * 2000, to=client.sid, callback=_nobody)
    assert not server.manager._process.requests._callbacks


async def test_a_reader_that_meets_large_entries_fetches_fewer_at_a_time(world: World) -> None:
    server = world.server(log_max_bytes=10**9)
    client = await world.connected(server)
    client.cut()
    await settle()
    asked: list[int] = []
    received: list[int] = []

    store = server.store
    original = store.execute

    async def execute(command: Command[Any]) -> Any:
        reply = await original(command)
        if isinstance(command, Read) and reply:
            asked.append(command.count)
            received.append(sum(entry.size() for entry in reply))
        return reply

    store.execute = execute  # type: ignore[method-assign]  # to see how much each read brings
    inject(world, *[fields(payload=event("n", "x" * 10**6))] * 300)
    await server.runtime.passed(await server.runtime.publish(_last(server.runtime.drafts)), 5.0)
    # The first read was under way: it brings a hundred, and tells how large they are.
    assert len(asked) > 200 // 20
    assert max(asked) <= 20
    assert max(received) < 25 * 10**6
    assert server.runtime.dispatcher.skipped == 0


def _nobody(*_args: Any) -> None:
    """A callback that is only there to be called."""


def _last(drafts: Drafts) -> Draft:
    return drafts.broadcast(Namespace("/"), ["last"], Audience())


async def test_servers_that_disagree_about_the_limit_say_what_they_leave_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    generous, strict = world.server(), world.server(max_packet_bytes=1000)
    here, there = await world.connected(generous), await world.connected(strict)
    await generous.sio.emit("n", "x" * 2000)
    await generous.sio.emit("n", "y")
    await settle()
    assert here.got("n") == ["x" * 2000, "y"]
    assert there.got("n") == ["y"]
    assert "more than max_packet_bytes (1000)" in caplog.text


def test_a_draft_counts_names_and_values_as_an_entry_does() -> None:
    draft = Draft(((b"a", b"12"), (b"bc", b"3")))
    assert draft.size() == Entry(Offset(1, 0), dict(draft.fields)).size() == 6
