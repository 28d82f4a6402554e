"""The store in memory as a source, for who runs in the same process: an application's own page, a test."""

from collections.abc import Iterator, Mapping

from recovery.commands import GetStream, Read, ReadBack
from recovery.inspect.records import StoredSession
from recovery.offsets import ORIGIN, Offset
from recovery.records import Entry, Pid, ServerId, StreamState
from recovery.stores.memory_state import MemoryState

__all__ = ["MemorySource"]


class MemorySource:
    """See `recovery.inspect.sources.Source`. A claim is shown with the fields that it would have in Redis."""

    def __init__(self, state: MemoryState, place: str = "memory://") -> None:
        self.place = place
        self.is_live = True
        self._state = state

    def now_ms(self) -> int:
        """The clock of the process."""
        return self._state.now_ms()

    def stream(self) -> StreamState | None:
        """Both ends of the stream."""
        return self._state.execute(GetStream())

    def length(self) -> int:
        """Number of entries in the stream."""
        return len(self._state.execute(Read(ORIGIN, 2**62, 0)))

    def read(self, after: Offset, count: int, *, wait_ms: int = 0) -> tuple[Entry, ...]:  # noqa: ARG002 - it has no thread to wait in
        """Entries after an offset, ascending; never waits."""
        return self._state.execute(Read(after, count, 0))

    def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
        """Entries at or before an offset, descending."""
        return self._state.execute(ReadBack(upto, count))

    def session(self, pid: Pid) -> StoredSession | None:
        """One session."""
        return next((each for each in self.sessions(pid) if each.pid == pid), None)

    def sessions(self, prefix: str = "") -> Iterator[StoredSession]:
        """All sessions that are not forgotten yet."""
        now = self.now_ms()
        for pid, record in self._state.sessions():
            if pid.startswith(prefix) and record.forget_at >= now:
                value = record.value if record.value_until >= now else None
                yield StoredSession(
                    pid,
                    {name: text.encode(errors="surrogateescape") for name, text in record.fields().items()},
                    value,
                    None if value is None else len(value),
                    claim_until_ms=record.forget_at,
                    value_until_ms=None if value is None else record.value_until,
                )

    def last_batch_ms(self, server: ServerId) -> int | None:  # noqa: ARG002 - nobody else can have stopped
        """Nothing: all servers of this store run in this process."""
        return None

    def facts(self) -> Mapping[str, str]:
        """Nothing: there is no server."""
        return {}

    def close(self) -> None:
        """Nothing to let go of."""
