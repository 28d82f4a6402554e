"""XREVRANGE up to an id with nothing before it makes Redis go through the whole stream (7.0, Valkey 9).

Each append asked it for the newest entry that is too old. Until there was one, a batch cost more the longer
the stream was: 20 ms with 100 000 entries.
"""

import redis.asyncio

from recovery.offsets import ORIGIN
from tests.contract.builders import append
from tests.contract.subject import opened


async def _backward_reads(client: redis.asyncio.Redis) -> int:
    stats = await client.info("commandstats")
    calls: int = stats.get("cmdstat_xrevrange", {"calls": 0})["calls"]
    return calls


async def test_nothing_is_looked_for_backwards_where_nothing_is_old(redis70_url: str) -> None:
    store = opened(redis70_url, "async")
    async with redis.asyncio.Redis.from_url(redis70_url) as client:
        await store.execute(append(b"a"))
        before = await _backward_reads(client)
        for sequence in range(2, 5):
            await store.execute(append(b"b", sequence=sequence, known=ORIGIN))
        assert await _backward_reads(client) == before
    await store.close()
