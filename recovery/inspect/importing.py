"""Importing: the sessions and the stream of a source are put into an empty store.

To look at them with servers and clients. One of the two places where the inspector writes (the other is
ending a session). Nothing is overwritten: a store that has a stream, an epoch or a session of these names is
refused.

Offsets stay as they are. The deadlines of sessions are moved so that each has as much time left as it had:
else all of yesterday's would have expired on arrival. Servers that emit into the store trim the stream by
their clock as always, and an old stream with the first batch.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from recovery.errors import ConfigurationError, StoreError
from recovery.inspect.records import StoredSession
from recovery.inspect.snapshots import Written
from recovery.inspect.sources import Source, entries_between
from recovery.records import Entry
from recovery.stores import endpoint_of
from recovery.stores.redis.cluster_links import link_to, slots_of
from recovery.stores.redis.endpoints import Endpoint
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.links import Link
from recovery.stores.redis.rounds import Argument, Call, Exchange, Wire

__all__ = ["import_into"]

T = TypeVar("T")

_AT_ONCE = 200  # sessions or entries in one round trip
_MOMENTS = ("since", "deadline", "claimed", "leased")  # fields of a claim that are times
_DAY_MS = 86_400_000  # for keys whose expiry is not known: every key of ours has one


def import_into(url: str, keys: Keys, source: Source) -> Written:
    """Put everything of a source into a store.

    Args:
        url: of a Redis or Valkey server.
        keys: the names to use there.

    Raises:
        ConfigurationError: the store has something under these names already.
        StoreError: it does not answer, or refuses; what was written until then stays.
    """
    target = _Target(endpoint_of(url), keys)
    try:
        target.check_empty()
        written = target.write(source)
    finally:
        target.close()
    return written


class _Target:
    def __init__(self, endpoint: Endpoint, keys: Keys) -> None:
        self._link = link_to(endpoint, slots_of(endpoint, keys))
        self._keys = keys

    def check_empty(self) -> None:
        found = self._ask([("EXISTS", self._keys.stream), ("EXISTS", self._keys.epoch)])
        if any(found) or any(self._has_sessions(server) for server in self._link.each()):
            raise ConfigurationError(
                f"the store has a stream or sessions of these names ({self._keys.stream},"
                f" {self._keys.session_key_prefix}...) already; import into an empty one, or use other names"
            )

    def _has_sessions(self, server: Link) -> bool:
        cursor = b"0"
        found: list[bytes] = []
        while not found:
            pattern = f"*{self._keys.session_key_prefix}*"
            cursor, found = self._ask([("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)], server)[0]
            if cursor == b"0":
                break
        return bool(found)

    def write(self, source: Source) -> Written:
        state = source.stream()
        if state is not None:
            self._ask([("HSET", self._keys.epoch, "id", state.epoch, "last", str(state.last))])
        entries = 0
        for batch in _batches(entries_between(source)):
            self._ask([self._append(entry) for entry in batch])
            entries += len(batch)
        time = self._ask([("TIME",)])[0]
        later = int(time[0]) * 1000 + int(time[1]) // 1000 - source.now_ms()
        sessions = 0
        for found in _batches(source.sessions()):
            self._ask([command for each in found for command in self._save(each, source.now_ms(), later)])
            sessions += len(found)
        return Written(sessions, entries, 0)

    def close(self) -> None:
        self._link.close()

    def _append(self, entry: Entry) -> Wire:
        fields = [part for field in entry.fields.items() for part in field]
        return ("XADD", self._keys.stream, str(entry.offset), *fields)

    def _save(self, stored: StoredSession, now_ms: int, later_ms: int) -> Iterator[Wire]:
        value_for = _left(stored.value_until_ms, now_ms)
        if stored.value is not None and value_for > 0:
            yield ("SET", self._keys.session(stored.pid), stored.value, "PX", value_for)
        claim_for = _left(stored.claim_until_ms, now_ms)
        if stored.claim and claim_for > 0:
            fields: list[Argument] = []
            for name, value in stored.claim.items():
                moved = name in _MOMENTS and value.isdigit()
                fields += [name, int(value) + later_ms if moved else value]
            yield ("HSET", self._keys.claim(stored.pid), *fields)
            yield ("PEXPIRE", self._keys.claim(stored.pid), claim_for)

    def _ask(
        self, commands: list[Wire], link: Link | None = None
    ) -> list[Any]:  # their shapes depend on them
        replies = (link or self._link).run([_call(command) for command in commands])
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        return replies


def _call(command: Wire) -> Exchange[Any]:
    reply = yield Call(command)
    return reply


def _left(until_ms: int | None, now_ms: int) -> int:
    return _DAY_MS if until_ms is None else until_ms - now_ms


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _AT_ONCE)):
        yield batch
