"""What the page keeps, and how much it asks: surveys that go on piece by piece, answers that are kept."""

from collections.abc import Iterator

import pytest
from starlette.datastructures import QueryParams

from recovery.errors import StoreUnavailableError
from recovery.inspect import Filter, Timing, open_source
from recovery.inspect.listing import SortKey
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.records import StoredSession
from recovery.inspect.web.asking import read_question
from recovery.inspect.web.desk import Desk
from recovery.inspect.web.handles import find_named, handle_of
from recovery.inspect.web.keeping import Kept
from recovery.inspect.web.surveys import Survey, Surveys, Wanted
from recovery.inspect.web.watching import Watch
from recovery.offsets import Offset
from recovery.records import Epoch, Namespace, Pid, SavedSession, Sid
from recovery.sessions import encode_session
from recovery.stores.memory_state import MemoryState

NOW = 1_700_000_000_000


class Many(MemorySource):
    """A source with as many sessions as are asked for."""

    def __init__(self, count: int, *, breaks_at: int | None = None) -> None:
        super().__init__(MemoryState())
        self.count = count
        self.breaks_at = breaks_at
        self.read_so_far = 0

    def sessions(self, prefix: str = "") -> Iterator[StoredSession]:
        for number in range(self.count):
            if number == self.breaks_at:
                raise StoreUnavailableError("it broke", maybe_applied=False)
            self.read_so_far += 1
            yield _stored(number)

    def session(self, pid: Pid) -> StoredSession | None:
        return _stored(int(pid[:8]))


def _stored(number: int) -> StoredSession:
    claim = {
        "n": str(1 + number % 3),
        "holder": f"server-{number % 2}",
        "state": "away",
        "since": str(NOW - number),
        "deadline": str(NOW + 60_000 - number % 10_000),
        "proven": "1-0",
        "nsp": "/",
        "identity": "",
        "epoch": "e",
    }
    if number % 3:
        claim["claimed"] = str(NOW - 30_000)
    pid = Pid(f"{number:08}{'p' * 20}")
    saved = SavedSession(
        Sid(f"sid-{number:08}"), pid, Namespace("/"), (), {}, Epoch("e"), Offset(1, 0), Offset(1, 0), {}
    )
    value = encode_session(saved)
    return StoredSession(pid, {name: text.encode() for name, text in claim.items()}, value, len(value))


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _survey(source: MemorySource, wanted: Wanted | None = None, most: int = 1000) -> Survey:
    return Survey(source, wanted or Wanted(), Timing(), NOW, most)


def test_a_survey_reads_no_more_than_its_first_page_needs() -> None:
    source = Many(1000)
    survey = _survey(source)
    survey.go_on(10.0, until=51)
    assert source.read_so_far == 51
    assert [len(survey.page(number, 50)) for number in (1, 2)] == [50, 1]
    assert not survey.complete
    survey.go_on(10.0, until=51)
    assert survey.complete


def test_a_survey_goes_on_for_its_time_only() -> None:
    source = Many(10**9)
    survey = _survey(source)
    survey.go_on(0.05)
    assert 0 < source.read_so_far < 10**6
    assert not survey.complete


def test_a_survey_that_finds_nothing_goes_on_for_its_time_only() -> None:
    survey = _survey(Many(10**9), Wanted(Filter(text="nobody")))
    survey.go_on(0.05)
    assert survey.looked_at > 0
    assert (survey.counted.found, survey.complete) == (0, False)


@pytest.mark.parametrize("sort", [None, SortKey.AGE])
def test_a_survey_lists_a_bounded_number_and_counts_all(sort: SortKey | None) -> None:
    survey = _survey(Many(5000), Wanted(sort=sort), most=100)
    survey.go_on(60.0)
    assert survey.complete
    assert (survey.counted.found, survey.listed) == (5000, 100)
    assert len(survey.page(1, 5000)) == 100


def test_the_first_of_a_sorted_survey_are_the_first_of_all() -> None:
    survey = _survey(Many(5000), Wanted(sort=SortKey.AGE), most=100)
    survey.go_on(60.0)
    assert survey.page(1, 2) == [_stored(number).pid for number in (0, 1)]
    backwards = _survey(Many(5000), Wanted(sort=SortKey.DEADLINE), most=100)
    backwards.go_on(60.0)
    assert backwards.page(50, 2) == [_stored(number).pid for number in (4901, 4900)]


def test_a_survey_counts_what_views_show() -> None:
    survey = _survey(Many(6), Wanted(Filter()))
    survey.go_on(60.0)
    counted = survey.counted
    assert counted.states.total() == 6
    assert {server: states.total() for server, states in counted.owners.items()} == {
        "server-0": 3,
        "server-1": 3,
    }
    assert counted.granted == 1 + 2 + 1 + 2
    assert dict(counted.returns) == {(NOW - 30_000) // 60_000: 4}


def test_a_complete_survey_stands_for_a_while_and_until_the_next_is_complete() -> None:
    source, clock = Many(100), Clock()
    surveys = Surveys(source, Timing(), lambda: NOW, clock=clock)
    assert surveys.get(Wanted(), seconds=60.0).counted.found == 100
    source.count = 200
    assert surveys.get(Wanted(), seconds=60.0).counted.found == 100
    clock.now = 1000.0
    source.breaks_at = None
    assert surveys.get(Wanted(), seconds=0.0).counted.found == 100  # it has only begun
    assert surveys.get(Wanted(), seconds=60.0).counted.found == 200


def test_what_is_asked_rarely_is_forgotten() -> None:
    source = Many(10)
    surveys = Surveys(source, Timing(), lambda: NOW)
    for number in range(8):
        surveys.get(Wanted(Filter(text=str(number))))
    read = source.read_so_far
    surveys.get(Wanted(Filter(text="7")))
    assert source.read_so_far == read
    surveys.get(Wanted(Filter(text="0")))
    assert source.read_so_far == read + 10


def test_a_survey_that_broke_begins_again() -> None:
    source = Many(100, breaks_at=50)
    surveys = Surveys(source, Timing(), lambda: NOW)
    with pytest.raises(StoreUnavailableError):
        surveys.get(Wanted())
    source.breaks_at = None
    assert surveys.get(Wanted(), seconds=60.0).counted.found == 100


def test_an_answer_is_kept_for_ten_times_what_it_took() -> None:
    clock = Clock()
    kept: Kept[float] = Kept(2, clock=clock)

    def slow() -> float:
        clock.now += 3.0
        return clock.now

    first = kept.get("one", slow)
    clock.now += 29.0
    assert kept.get("one", slow) == first
    clock.now += 2.0
    assert kept.get("one", slow) != first


def test_an_answer_of_a_file_is_kept_for_good() -> None:
    clock = Clock()
    kept: Kept[float] = Kept(2, stands_still=True, clock=clock)
    first = kept.get("one", clock)
    clock.now += 10.0**9
    assert kept.get("one", clock) == first
    for name in ("two", "three"):
        kept.get(name, clock)
    assert kept.get("one", clock) != first


def test_nothing_is_kept_of_an_answer_that_failed() -> None:
    kept: Kept[int] = Kept(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("one", lambda: 1 // 0)
    assert kept.get("one", lambda: 7) == 7


def test_the_stream_is_watched_once_a_second_and_not_for_ever() -> None:
    source = open_source("memory://nothing-there")
    assert Watch(source).look() == ()


def test_a_pid_that_is_none_of_ours_has_a_handle_without_it() -> None:
    for pid in ("short", "<script>alert(1)</script>", "../../../etc/passwd/x", "\u202e" * 20):
        assert handle_of(pid).startswith("~.")
    assert handle_of("abcdef-and-twelve-more") != handle_of("abcdef-and-twelve-others")


def test_a_handle_names_one_session() -> None:
    source = Many(300)
    found = find_named(source, handle_of(_stored(7).pid), now_ms=NOW)
    assert found is not None
    assert found.pid == _stored(7).pid


def test_a_session_that_was_listed_is_found_without_a_search() -> None:
    source = Many(300)
    desk = Desk(source, Timing(), at_ms=NOW)
    _, listed = desk.page(read_question(QueryParams("page=2")), NOW)
    read = source.read_so_far
    for session in listed:
        assert desk.find(handle_of(session.pid), NOW) == session
    assert source.read_so_far == read
    late = desk.find(handle_of(_stored(250).pid), NOW)
    assert source.read_so_far > read
    read = source.read_so_far
    assert desk.find(handle_of(_stored(250).pid), NOW) == late
    assert source.read_so_far == read


def test_few_of_those_who_are_away_are_tried() -> None:
    source = Many(500)
    desk = Desk(source, Timing(), at_ms=NOW)
    assert 1 <= desk.trial().tried <= 25
    assert 1 <= source.read_so_far <= 25
