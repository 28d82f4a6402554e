"""Of the ends that were written to the stream a failover undoes those that nothing else kept."""

from dataclasses import dataclass

from recovery.offsets import Offset
from recovery.records import Pid, Sid
from recovery.testing.endings import EndEntries
from recovery.testing.replicas import Undone
from tests.testing.stories import at


@dataclass
class _Server:
    has_read: Offset


def _entries(*, has_read: int = 1) -> EndEntries:
    """The session of ann, on a server that has read so far, was ended at 5."""
    entries = EndEntries()
    entries.accepted("ann", "her pid", _Server(at(has_read)))
    entries.note(at(5), ["ann"])
    return entries


def _lose(entries: EndEntries, after: int, undone: Undone | None = None) -> tuple[set[str], set[str]]:
    """Whose end is lost, and who had not heard of it."""
    ends, unheard = entries.lose(at(after), undone or Undone())
    return set(ends), set(unheard)


def test_an_end_whose_entry_is_lost_is_undone_and_was_not_heard() -> None:
    assert _lose(_entries(), 4) == ({"ann"}, {"ann"})


def test_who_had_read_it_had_heard_of_it() -> None:
    assert _lose(_entries(has_read=5), 4) == ({"ann"}, set())
    assert _lose(_entries(has_read=4), 4) == ({"ann"}, {"ann"})


def test_an_end_whose_entry_is_there_is_in_force_though_it_was_not_saved() -> None:
    assert _lose(_entries(), 5, Undone(ends=frozenset({Sid("ann")}))) == (set(), set())


def test_an_end_that_was_saved_before_is_in_force() -> None:
    assert _lose(_entries(), 4, Undone(over=frozenset({Pid("her pid")}))) == (set(), set())
    assert _lose(_entries(), 4, Undone(over=frozenset({Pid("another")}))) == ({"ann"}, {"ann"})


def test_an_end_that_its_server_had_saved_was_heard() -> None:
    assert _lose(_entries(), 4, Undone(ends=frozenset({Sid("ann")}))) == ({"ann"}, set())


def test_an_entry_is_lost_once() -> None:
    entries = _entries()
    _lose(entries, 4)
    assert _lose(entries, 4) == (set(), set())
    entries.note(at(9), ["ann"])
    assert _lose(entries, 6) == ({"ann"}, {"ann"}), "the first one keeps nothing"
