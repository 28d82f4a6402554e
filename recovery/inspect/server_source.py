"""A Redis or Valkey server as a source: somebody's live store, or a private server that has loaded a dump.

1. Only commands that read are sent, and none that is slow where there is much: SCAN with a small COUNT,
   ranges of bounded length, values of bounded size. ``docs/explanation/security.md`` has the least rights.
2. Answers are not taken at one moment: a session may change between two commands. What is read of one session
   travels in two round trips.
3. In a cluster, keys are looked for on every node that has slots. Their times are taken from the clock of the
   node that has the stream: those of the others have to agree.
4. A dump's server keeps what has expired since, and its clock is that of the dump: `Frozen`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from recovery.errors import StoreError
from recovery.inspect.records import CLAIM_FIELDS, StoredSession
from recovery.inspect.sources import MOST_VALUE_BYTES
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.records import Entry, Epoch, Pid, ServerId, StreamState
from recovery.stores.redis.cluster_links import link_to, slots_of
from recovery.stores.redis.endpoints import Endpoint
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.links import Link
from recovery.stores.redis.rounds import Call, Exchange, ServerError, Wire

__all__ = ["Frozen", "ServerSource", "facts_in"]

_SCANNED_AT_ONCE = 250  # keys that one SCAN looks at: well below a millisecond
_VALUE_BYTES_AT_ONCE = 2**20  # of saved sessions in one round trip, if one alone is not larger
_LONGEST_WAIT = 5.0  # seconds, as of the stores: a dead connection is noticed
_PRODUCER_TTL_MS = 3_600_000  # of `recovery.commands.Append`


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dump was loaded: time stands still, and keys that have expired since are still there.

    Attributes:
        at_ms: when the dump was taken, as far as its file tells.
    """

    at_ms: int


class ServerSource:
    """See `recovery.inspect.sources.Source`. May be used by several threads.

    Args:
        place: for people; the endpoint's own if empty.
        frozen: set for a dump's server.
        on_close: called at the end of `close`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        keys: Keys,
        *,
        place: str = "",
        frozen: Frozen | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.place = place or endpoint.place
        self._keys = keys
        self._frozen = frozen
        slots = slots_of(endpoint, keys)
        self._link = link_to(endpoint, slots)
        self._waiting_link = link_to(endpoint, slots, wait=_LONGEST_WAIT)
        self.is_cluster = slots is not None
        self._lock = threading.Lock()
        self._on_close = on_close
        if frozen is not None:
            self._ask(("CLIENT", "IMPORT-SOURCE", "ON"))  # or what has expired would be hidden

    @property
    def is_live(self) -> bool:
        """Whether it goes on changing."""
        return self._frozen is None

    def now_ms(self) -> int:
        """The server's clock; for a dump the moment of its last sign of life."""
        if self._frozen is None:
            return _clock(self._ask(("TIME",))[0])
        state = self.stream()
        return max(self._frozen.at_ms, 0 if state is None else state.last.ms)

    def stream(self) -> StreamState | None:
        """Both ends of the stream."""
        epoch, first, last, time = self._ask(
            ("HGET", self._keys.epoch, "id"),
            ("XRANGE", self._keys.stream, "-", "+", "COUNT", 1),
            ("XREVRANGE", self._keys.stream, "+", "-", "COUNT", 1),
            ("TIME",),
        )
        if epoch is None or not first or not last:
            return None
        newest = parse_offset(last[0][0])
        now = _clock(time) if self._frozen is None else max(self._frozen.at_ms, newest.ms)
        return StreamState(Epoch(epoch.decode(errors="replace")), parse_offset(first[0][0]), newest, now)

    def length(self) -> int:
        """Number of entries in the stream."""
        length: int = self._ask(("XLEN", self._keys.stream))[0]
        return length

    def read(self, after: Offset, count: int, *, wait_ms: int = 0) -> tuple[Entry, ...]:
        """Entries after an offset, ascending."""
        if wait_ms > 0 and self.is_live:
            return self._wait(after, count, wait_ms)
        exclusive = "-" if after == ORIGIN else f"({after}"
        return _entries(self._ask(("XRANGE", self._keys.stream, exclusive, "+", "COUNT", count))[0])

    def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
        """Entries at or before an offset, descending."""
        return _entries(self._ask(("XREVRANGE", self._keys.stream, str(upto), "-", "COUNT", count))[0])

    def session(self, pid: Pid) -> StoredSession | None:
        """One session."""
        found = next(self._read_sessions([pid]))
        return found if found.claim or found.size is not None or found.problem else None

    def sessions(self, prefix: str = "") -> Iterator[StoredSession]:
        """All sessions that have a claim key, one SCAN after the other."""
        seen: set[int] = set()  # SCAN may give a key twice; hashes, because a pid has eighty bytes
        for keys in self._scan(_escaped(self._keys.claim(Pid(f"{prefix}\0"))).replace("\0", "*")):
            pids = [pid for pid in map(self._pid_of_claim, keys) if pid is not None]
            new = [pid for pid in dict.fromkeys(pids) if hash(pid) not in seen]
            seen.update(map(hash, new))
            for stored in self._read_sessions(new):
                if stored.claim or stored.problem:
                    yield stored

    def last_batch_ms(self, server: ServerId) -> int | None:
        """When a server last appended something, from its producer key's expiry."""
        until, now = self._ask((self._expiry_command, self._keys.producer(server)), ("TIME",))
        expires = self._expiry(until, _clock(now))
        return None if expires is None or expires < self._oldest_alive else expires - _PRODUCER_TTL_MS

    def facts(self) -> Mapping[str, str]:
        """What the server says of itself; nothing for a dump, whose server is not the one it was of."""
        each = self.facts_of_each()
        return each[0] if each else {}

    def facts_of_each(self) -> list[Mapping[str, str]]:
        """What each server says of itself that has keys: one, but for a cluster; see `facts`."""
        if self._frozen is not None:
            return []
        with self._lock:
            servers = self._link.each()
        return [facts_in(self._ask(("INFO",), link=server)[0]) for server in servers]

    def ask(self, *command: str) -> Any:  # its shape depends on the command
        """Send any other command that reads; for `doctor`. Raises `StoreError`."""
        return self._ask(command)[0]

    def close(self) -> None:
        """Drop the connections; stop the server, if it is a dump's."""
        self._link.close()
        self._waiting_link.close()
        if self._on_close is not None:
            self._on_close()

    # ------------------------------------------------------------------ sessions

    def _scan(self, pattern: str) -> Iterator[list[bytes]]:
        with self._lock:
            servers = self._link.each()
        for server in servers:
            cursor = b"0"
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
                cursor, keys = self._ask(command, link=server)[0]
                yield keys
                if cursor == b"0":
                    break

    def _pid_of_claim(self, key: bytes) -> Pid | None:
        """Take a claim key's name apart, None if it is none."""
        before, _, after = self._keys.claim(Pid("\0")).partition("\0")
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return None
        fits = text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after)
        return Pid(text[len(before) : len(text) - len(after)]) if fits else None

    def _read_sessions(self, pids: Sequence[Pid]) -> Iterator[StoredSession]:
        outlines = self._outlines(pids)
        grown = _running_total([outline.size or 0 for outline in outlines], _VALUE_BYTES_AT_ONCE)
        for _, group in groupby(zip(grown, outlines, strict=True), key=lambda pair: pair[0]):
            yield from self._with_values([outline for _, outline in group])

    def _outlines(self, pids: Sequence[Pid]) -> list[StoredSession]:
        """Everything of sessions but their values."""
        commands: list[Wire] = [("TIME",)]
        for pid in pids:
            session, claim = self._keys.session(pid), self._keys.claim(pid)
            commands += [
                ("HMGET", claim, *CLAIM_FIELDS),
                ("STRLEN", session),
                (self._expiry_command, claim),
                (self._expiry_command, session),
            ]
        replies = iter(self._ask(*commands, forgiving=True))
        now = _clock(next(replies))
        return [
            self._outline(pid, (next(replies), next(replies), next(replies), next(replies)), now)
            for pid in pids
        ]

    def _outline(self, pid: Pid, replies: tuple[Any, Any, Any, Any], now: int) -> StoredSession:
        fields, size, claim_until, value_until = replies
        for reply in replies:
            if isinstance(reply, StoreError):
                return StoredSession(pid, {}, None, None, problem=_said(reply, pid))
        claim_ends, value_ends = self._expiry(claim_until, now), self._expiry(value_until, now)
        has_claim = claim_ends is None or claim_ends >= self._oldest_alive
        has_value = value_until != -2 and (value_ends is None or value_ends >= self._oldest_alive)
        claim = {name: value for name, value in zip(CLAIM_FIELDS, fields, strict=True) if value is not None}
        return StoredSession(
            pid,
            claim if has_claim else {},
            None,
            size if has_value else None,
            claim_until_ms=claim_ends,
            value_until_ms=value_ends if has_value else None,
        )

    def _with_values(self, outlines: list[StoredSession]) -> Iterator[StoredSession]:
        wanted = [each for each in outlines if each.size is not None and each.size <= MOST_VALUE_BYTES]
        commands = [("GET", self._keys.session(each.pid)) for each in wanted]
        values = dict(zip((each.pid for each in wanted), self._ask(*commands, forgiving=True), strict=True))
        for each in outlines:
            value = values.get(each.pid)
            if isinstance(value, StoreError):
                yield StoredSession(each.pid, {}, None, None, problem=_said(value, each.pid))
                continue
            gone = value is None and each.pid in values  # since its size was asked
            yield replace(each, value=value, size=None if gone else each.size)

    # ------------------------------------------------------------------ time

    @property
    def _expiry_command(self) -> str:
        return "PTTL" if self._frozen is None else "PEXPIRETIME"  # which Redis 6.2 does not have

    def _expiry(self, reply: int, now: int) -> int | None:
        """When a key expires, from the answer of `_expiry_command`."""
        if reply < 0:
            return None
        return now + reply if self._frozen is None else reply

    @property
    def _oldest_alive(self) -> int:
        """A key that expires before this had expired when the data was taken."""
        return 0 if self._frozen is None else self._frozen.at_ms

    # ------------------------------------------------------------------ asking

    def _wait(self, after: Offset, count: int, wait_ms: int) -> tuple[Entry, ...]:
        wait_ms = min(wait_ms, round(_LONGEST_WAIT * 1000))
        call = ("XREAD", "COUNT", count, "BLOCK", wait_ms, "STREAMS", self._keys.stream, str(after))
        [reply] = self._waiting_link.run([_call(call)])
        if isinstance(reply, StoreError):
            raise reply
        return _entries(reply[0][1]) if reply else ()

    def _ask(self, *commands: Wire, forgiving: bool = False, link: Link | None = None) -> list[Any]:
        """Send commands together; raise the first error, unless `forgiving` (then it is in its place).

        Args:
            link: to one node of a cluster.
        """
        if not commands:
            return []
        with self._lock:
            replies = (link or self._link).run([_call(command) for command in commands])
        for reply in replies:
            wrong_type = isinstance(reply, ServerError) and "WRONGTYPE" in str(reply)
            if isinstance(reply, StoreError) and not (forgiving and wrong_type):
                raise reply
        return replies


def facts_in(text: bytes) -> Mapping[str, str]:
    """Read lines of ``name:value``."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value.strip() for name, found, value in lines if found}


def _call(command: Wire) -> Exchange[Any]:
    reply = yield Call(command)
    return reply


def _said(error: StoreError, pid: Pid) -> str:
    return str(error).replace(pid, "...")


def _clock(reply: Sequence[bytes]) -> int:
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _entries(reply: Sequence[Any]) -> tuple[Entry, ...]:
    return tuple(
        Entry(parse_offset(id_), dict(zip(parts[::2], parts[1::2], strict=True))) for id_, parts in reply
    )


def _escaped(pattern: str) -> str:
    """Make a name stand for itself in MATCH."""
    return "".join(f"\\{each}" if each in "*?[]^\\" else each for each in pattern)


def _running_total(sizes: Sequence[int], most: int) -> list[int]:
    """Number groups so that the sizes of one add up to `most`, or are one alone."""
    groups: list[int] = []
    number, total = 0, 0
    for size in sizes:
        if groups and total + size > most:
            number, total = number + 1, 0
        groups.append(number)
        total += size
    return groups
