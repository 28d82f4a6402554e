"""Publishing through an outage of Redis: in order, once, until `publish_timeout`; then emitters are told."""

import asyncio
import random
from pathlib import Path

import pytest

from recovery.errors import PublishError
from recovery.stores.redis import connections, store
from tests.faults.outage import Node, Outage, open_outage, ordered_once, until
from tests.faults.proxy import Direction
from tests.faults.redis_process import RedisProcess
from tests.interleavings.harness import settle

APPEND = b"packet"  # every event of these tests has it in its name, and so the script call that appends it
DEFAULT_TIMEOUTS = [
    (module, name, getattr(module, name))
    for module, name in (
        (connections, "ANSWER_TIMEOUT"),
        (connections, "CONNECT_TIMEOUT"),
        (store, "MAX_WAIT"),
    )
]
LONGEST_REPLY = 44  # bytes: a string of MessagePack, with an epoch, a number and an id in it


async def outcomes(node: Node, numbers: range) -> list[bool | None]:
    """Emit numbers at once; for each: None if it was confirmed, else what the error says."""

    async def one(number: int) -> bool | None:
        try:
            await node.sio.emit("packet", number)
        except PublishError as error:
            return error.maybe_stored
        return None

    return await asyncio.gather(*map(one, numbers))


async def in_background(node: Node, name: str, numbers: range) -> "asyncio.Task[None]":
    """Begin to emit numbers; returns when the first emit is under way."""
    task = asyncio.create_task(node.emit_numbers(name, numbers))
    await asyncio.sleep(0.02)
    return task


@pytest.mark.parametrize("how", ["refuse", "hang", "stop"])
async def test_emits_of_several_tasks_outlast_an_outage_in_order(any_outage: Outage, how: str) -> None:
    outage = any_outage
    node = outage.node(publish_timeout=10.0)
    client = await outage.connected(node)
    await node.sio.emit("packet", "before")
    await until(lambda: client.got("packet"))
    if how == "refuse":
        outage.proxy.refuse()
    elif how == "hang":
        outage.proxy.hang()
    else:
        await outage.stop_redis()
    tasks = [await in_background(node, f"packet-{name}", range(20)) for name in "abc"]
    await asyncio.sleep(0.5)
    assert client.got("packet") == ["before"]
    assert not any(task.done() for task in tasks)
    if how == "stop":
        await outage.start_redis()
    await outage.proxy.forward()
    await asyncio.gather(*tasks)
    await node.sio.emit("packet", "after")
    await until(lambda: "after" in client.got("packet"))
    for name in "abc":
        assert ordered_once(client, f"packet-{name}") == list(range(20))
        assert outage.stored(f"packet-{name}") == list(range(20))
    assert client.outcomes == ["fresh"], "the client has noticed nothing"


async def test_what_was_refused_for_too_long_was_certainly_not_stored(any_outage: Outage) -> None:
    node = any_outage.node(publish_timeout=0.4)
    client = await any_outage.connected(node)
    any_outage.proxy.refuse()
    await until(lambda: any_outage.proxy.connections == 0)
    await settle()  # the old connections are known to be gone
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await outcomes(node, range(3)) == [False] * 3
    assert 0.3 < loop.time() - began < 5
    await any_outage.proxy.forward()
    await node.sio.emit("packet", 3)
    await until(lambda: client.got("packet"))
    assert any_outage.stored("packet") == client.got("packet") == [3]


async def test_what_had_no_answer_for_too_long_may_be_stored(any_outage: Outage) -> None:
    node = any_outage.node(publish_timeout=0.6)
    client = await any_outage.connected(node)
    await node.sio.emit("packet", "before")
    await until(lambda: client.got("packet"), "the reader waits on a connection of its own")
    any_outage.proxy.stall(Direction.TO_CLIENT)
    assert await outcomes(node, range(3)) == [True] * 3
    assert any_outage.stored("packet") == ["before", 0, 1, 2], "this time it was, and once"


async def test_one_attempt_without_an_answer_is_remembered(outage: Outage) -> None:
    """The last attempt certainly stored nothing, but an earlier one may have."""
    node = outage.node(publish_timeout=1.0)
    await outage.connected(node)
    strike = outage.proxy.swallow_reply(to=APPEND)
    emitting = asyncio.create_task(outcomes(node, range(1)))
    await strike.struck.wait()
    outage.proxy.refuse()
    assert await emitting == [True]


async def test_what_is_given_up_in_a_hang_and_arrives_after_it_disturbs_no_order(any_outage: Outage) -> None:
    """What was sent before the hang was noticed arrives at its end, in any order with what is sent then."""
    node, other = any_outage.node(publish_timeout=0.6), any_outage.direct_node()
    clients = [await any_outage.connected(node), await any_outage.connected(other)]
    await node.sio.emit("packet", -1)
    any_outage.proxy.hang()
    said: list[bool | None] = []
    for start in (0, 10, 20):
        said += await outcomes(node, range(start, start + 10))
    assert said == [True] * 10 + [False] * 20, "later connections hung before anything could be sent on them"
    later = asyncio.create_task(node.emit_numbers("packet", range(30, 40)))
    await any_outage.proxy.forward()
    await later
    stored = any_outage.stored("packet")
    assert stored == sorted(set(stored)), "in order, and nothing twice"
    assert [number for number in stored if number >= 10] == list(range(30, 40))
    await until(lambda: all(client.got("packet")[-1:] == [39] for client in clients))
    for client in clients:
        assert ordered_once(client, "packet") == stored


async def test_a_retry_after_a_lost_reply_stores_nothing_twice(any_outage: Outage) -> None:
    node = any_outage.node()
    client = await any_outage.connected(node)
    strikes = [any_outage.proxy.swallow_reply(to=APPEND) for _ in range(3)]
    assert await outcomes(node, range(3)) == [None] * 3
    assert all(strike.struck.is_set() for strike in strikes), "three attempts were carried out for nothing"
    await until(lambda: len(client.got("packet")) == 3)
    assert any_outage.stored("packet") == ordered_once(client, "packet") == [0, 1, 2]


async def test_a_connection_that_falls_silent_is_given_up_and_the_emit_tried_on_another(
    outage: Outage,
) -> None:
    node = outage.node(publish_timeout=3.0)
    client = await outage.connected(node)
    strike = outage.proxy.swallow_reply(to=APPEND, resets=False)
    assert await outcomes(node, range(3)) == [None] * 3
    assert strike.struck.is_set()
    await until(lambda: len(client.got("packet")) == 3)
    assert outage.stored("packet") == ordered_once(client, "packet") == [0, 1, 2]


async def test_by_default_a_silent_connection_leaves_time_for_another_attempt(
    tmp_path: Path, outage_store: str
) -> None:
    """A firewall that has forgotten a connection must not cost every packet of these seconds."""
    with pytest.MonkeyPatch.context() as patch, RedisProcess(outage_store, tmp_path) as redis:
        for timeouts, name, value in DEFAULT_TIMEOUTS:
            patch.setattr(timeouts, name, value)
        async with open_outage(redis) as outage:
            node = outage.node()
            await outage.connected(node)
            strike = outage.proxy.swallow_reply(to=APPEND, resets=False)
            assert await outcomes(node, range(3)) == [None] * 3
            assert strike.struck.is_set()


@pytest.mark.parametrize("when", ["before-the-next", "after-the-next"])
async def test_a_command_that_arrives_after_its_own_repetition_stores_nothing(
    any_outage: Outage, when: str
) -> None:
    """The old connection's copy is under way while the new one's is carried out."""
    node = any_outage.node(publish_timeout=5.0)
    client = await any_outage.connected(node)
    held = any_outage.proxy.hold_command(APPEND)
    assert await outcomes(node, range(3)) == [None] * 3
    assert held.caught.is_set()
    if when == "after-the-next":
        await node.sio.emit("packet", 3)
    held.release()
    await held.delivered.wait()
    await node.sio.emit("packet", 4)
    expected = [0, 1, 2, 4] if when == "before-the-next" else [0, 1, 2, 3, 4]
    await until(lambda: client.got("packet")[-1:] == [4])
    assert any_outage.stored("packet") == ordered_once(client, "packet") == expected


async def test_a_command_that_was_given_up_and_arrives_late_comes_before_nothing_newer(
    any_outage: Outage,
) -> None:
    """A later emit is in the stream: behind it the late one would be out of order, so it is refused."""
    node = any_outage.node(publish_timeout=0.6)
    client = await any_outage.connected(node)
    holds = [any_outage.proxy.hold_command(b"packet-late") for _ in range(3)]
    with pytest.raises(PublishError) as caught:
        await node.sio.emit("packet-late", 0)
    assert caught.value.maybe_stored
    await node.sio.emit("packet", 1)
    for held in holds:
        held.release()
        if held.caught.is_set():
            await held.delivered.wait()
    await node.sio.emit("packet", 2)
    await until(lambda: client.got("packet") == [1, 2])
    assert any_outage.stored("packet-late") == client.got("packet-late") == []


async def test_a_reply_that_is_cut_anywhere_is_asked_for_again(any_outage: Outage) -> None:
    node = any_outage.node()
    client = await any_outage.connected(node)
    await node.sio.emit("packet", -1)
    positions = range(0, LONGEST_REPLY, 1 if any_outage.redis.kind == "valkey" else 7)
    cut = 0
    for after in positions:
        strike = any_outage.proxy.cut_reply(after=after, to=APPEND)
        await node.sio.emit("packet", after)
        cut += strike.struck.is_set()
        any_outage.proxy.reset()  # or a strike beyond the reply's end would hit the next one
    assert cut > 0.7 * len(positions), "most of these are within the reply"
    await until(lambda: client.got("packet")[-1:] == [positions[-1]])
    assert any_outage.stored("packet") == ordered_once(client, "packet") == [-1, *positions]


async def _trouble(outage: Outage, chance: random.Random, until_set: asyncio.Event) -> None:
    """Do one thing after the other to the network."""
    while not until_set.is_set():
        proxy = outage.proxy
        match chance.randrange(6):
            case 0:
                proxy.refuse()
            case 1:
                proxy.hang()
            case 2:
                proxy.stall(chance.choice(list(Direction)))
            case 3:
                proxy.reset()
            case 4:
                proxy.cut_reply(after=chance.randrange(LONGEST_REPLY), to=APPEND)
            case _:
                proxy.hold_command(APPEND)
        await asyncio.sleep(chance.uniform(0, 0.4))
        if chance.random() < 0.7:
            await proxy.forward()
        await asyncio.sleep(chance.uniform(0, 0.1))
    await outage.proxy.forward()


@pytest.mark.parametrize(
    ("outage_store", "seed"),
    [*(("valkey", seed) for seed in range(6)), *(("redis70", seed) for seed in range(6, 9))],
    indirect=["outage_store"],
)
async def test_whatever_the_network_does_each_emitter_is_told_the_truth(outage: Outage, seed: int) -> None:
    """Confirmed ones are there once, certainly lost ones are not, and each task's are in order."""
    chance = random.Random(seed)
    nodes = [outage.node(publish_timeout=0.6), outage.node(publish_timeout=5.0), outage.direct_node()]
    clients = [await outage.connected(node) for node in nodes]
    said: dict[str, list[bool | None]] = {f"packet-{name}": [] for name in "abcdef"}

    async def emit(name: str, node: Node) -> None:
        for number in range(25):
            try:
                await node.sio.emit(name, number)
                said[name].append(None)
            except PublishError as error:
                said[name].append(error.maybe_stored)
            await asyncio.sleep(chance.uniform(0, 0.02))

    over = asyncio.Event()
    trouble = asyncio.create_task(_trouble(outage, chance, over))
    await asyncio.gather(*(emit(name, nodes[place % 3]) for place, name in enumerate(said)))
    over.set()
    await trouble
    for node in nodes:
        await node.sio.emit("packet-last", 0)
    await until(lambda: all(len(client.got("packet-last")) == 3 for client in clients))
    for name, words in said.items():
        stored = outage.stored(name)
        assert stored == sorted(set(stored)), f"{name} is out of order, or twice"
        for number, word in enumerate(words):
            assert word is True or (number in stored) == (word is None), f"{name} {number}: {word}"
        for client in clients:
            assert ordered_once(client, name) == stored
