"""A session's time, as the page draws it: what the store knows, and not more."""

import pytest

from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.inspect import Session, SessionState, Source, find_sessions, list_unsent, rehearse
from recovery.inspect.memory_source import MemorySource
from recovery.inspect.web.drawing import WIDTH, bars_of_seconds, focus_of, lanes_of, line_of
from recovery.inspect.web.timeline import Fate, Span, SpanKind, Timeline, timeline_of
from recovery.offsets import ORIGIN, Offset
from recovery.records import (
    Audience,
    Draft,
    Entry,
    Epoch,
    Namespace,
    Pid,
    Room,
    RoomChange,
    SavedSession,
    ServerId,
    Sid,
)
from recovery.stores.memory_state import MemoryState
from tests.inspect.browsing import TIMING
from tests.inspect.recording import Recorded

BEGIN = Offset(1000, 0)
ME, NSP = Sid("sid"), Namespace("/")
DRAFTS = Drafts(ServerId("server"), PayloadCodec())
LIVE, AWAY, CLOSING = SpanKind.CONNECTED, SpanKind.AWAY, SpanKind.UNCERTAIN


class Stream(MemorySource):
    """A source with a stream of these drafts, at 1000 ms, 1001 ms and so on."""

    def __init__(self, *drafts: Draft) -> None:
        super().__init__(MemoryState())
        self.entries = [Entry(Offset(1000 + at, 0), dict(draft.fields)) for at, draft in enumerate(drafts)]

    def read_back(self, upto: Offset, count: int) -> tuple[Entry, ...]:
        return tuple([entry for entry in reversed(self.entries) if entry.offset <= upto][:count])


def _session(
    state: SessionState,
    *,
    since: int = 5000,
    granted: int | None = None,
    proven: Offset = BEGIN,
    rooms: dict[Room, tuple[RoomChange, ...]] | None = None,
    saved: bool = True,
) -> Session:
    value = SavedSession(ME, Pid("p" * 20), NSP, (ME,), {}, Epoch("e"), BEGIN, BEGIN, rooms or {})
    return Session(
        pid=Pid("p" * 20),
        state=state,
        namespace=NSP,
        identity="",
        epoch=Epoch("e"),
        number=1 if granted is None else 2,
        owner=ServerId("server"),
        holder=ServerId("server"),
        since_ms=since,
        deadline_ms=8000,
        claimed_ms=granted,
        proven=proven,
        size=1,
        saved=value if saved else None,
    )


def _emit(event: str, *rooms: Room, volatile: bool = False, excluded: tuple[Room, ...] = ()) -> Draft:
    return DRAFTS.broadcast(NSP, [event], Audience(rooms, excluded), volatile=volatile)


@pytest.mark.parametrize(
    ("state", "since", "granted", "spans"),
    [
        (SessionState.LIVE, 5000, None, [(LIVE, 5000, 9000)]),
        (SessionState.LIVE, 5000, 4900, [(CLOSING, 1000, 5000), (LIVE, 5000, 9000)]),
        (SessionState.AWAY, 5000, None, [(LIVE, 1000, 5000), (AWAY, 5000, 8000)]),
        (SessionState.AWAY, 5000, 3000, [(CLOSING, 1000, 3000), (LIVE, 3000, 5000), (AWAY, 5000, 8000)]),
        (SessionState.AWAY, 5000, 6000, [(CLOSING, 1000, 5000), (AWAY, 5000, 8000)]),
        (SessionState.EXPIRED, 5000, None, [(LIVE, 1000, 5000), (AWAY, 5000, 8000)]),
        (SessionState.ENDED, 5000, None, [(LIVE, 1000, 5000)]),
        (SessionState.UNREADABLE, 0, None, []),
    ],
)
def test_connections_are_told_as_far_as_the_claim_knows_them(
    state: SessionState, since: int, granted: int | None, spans: list[tuple[SpanKind, int, int]]
) -> None:
    timeline = timeline_of(Stream(), _session(state, since=since, granted=granted), 9000)
    assert list(timeline.spans) == [Span(*span) for span in spans]


def test_a_packet_is_received_sent_missed_or_lost() -> None:
    stream = Stream(
        _emit("before it began"),
        _emit("proven"),
        _emit("sent"),
        _emit("sent too", volatile=True),
        _emit("missed"),
        _emit("lost", volatile=True),
        _emit("of others", "elsewhere"),
        _emit("for others", excluded=(ME,)),
        _emit("for it", ME),
    )
    session = _session(SessionState.AWAY, since=1003, proven=Offset(1001, 0))
    told = timeline_of(stream, session, 9000).packets
    assert [(each.event, each.fate) for each in told] == [
        ("proven", Fate.RECEIVED),
        ("sent", Fate.SENT),
        ("sent too", Fate.SENT),
        ("missed", Fate.MISSED),
        ("lost", Fate.LOST),
        ("for it", Fate.MISSED),
    ]


def test_a_live_client_misses_nothing_and_one_that_ended_gets_nothing() -> None:
    stream = Stream(_emit("began"), _emit("one"), _emit("two"), _emit("three"))
    live = timeline_of(stream, _session(SessionState.LIVE, since=1000), 9000)
    assert {each.fate for each in live.packets} == {Fate.SENT}
    ended = timeline_of(stream, _session(SessionState.ENDED, since=1002), 9000)
    assert [each.event for each in ended.packets] == ["one", "two"]


def test_what_a_client_missed_that_came_too_late_is_lost_until_its_time_was_over() -> None:
    stream = Stream(*(_emit(str(at)) for at in range(1000, 10_000)))
    expired = timeline_of(stream, _session(SessionState.EXPIRED, since=7990), 9000)
    assert [(each.event, each.fate) for each in expired.packets][-8:] == [
        (str(at), Fate.LOST) for at in range(7993, 8001)
    ]


def test_rooms_count_from_one_offset_to_another() -> None:
    changes = (RoomChange(Offset(1001, 0), entered=True), RoomChange(Offset(1003, 0), entered=False))
    stream = Stream(*(_emit(str(at), "news") for at in range(1000, 1006)))
    told = timeline_of(stream, _session(SessionState.LIVE, rooms={"news": changes}), 9000)
    assert [each.event for each in told.packets] == ["1002", "1003"]
    assert [mark.kind for mark in told.marks if "news" in mark.said] == ["entered", "left"]


def test_what_servers_agreed_about_it_is_marked() -> None:
    other = Sid("another")
    stream = Stream(
        _emit("began"),
        DRAFTS.takeover(NSP, ME, 2, ServerId("old")),
        DRAFTS.takeover(NSP, other, 2, ServerId("old")),
        DRAFTS.released(NSP, ME, 2, ServerId("new")),
        DRAFTS.disconnect(NSP, Audience((ME,))),
        DRAFTS.disconnect(NSP, Audience((other,))),
    )
    marks = timeline_of(stream, _session(SessionState.LIVE), 9000).marks
    kinds = [mark.kind for mark in marks if mark.kind in {"taken over", "released", "disconnected"}]
    assert kinds == ["taken over", "released", "disconnected"]


def test_without_rooms_no_packet_is_told_and_that_is_said() -> None:
    timeline = timeline_of(Stream(_emit("a"), _emit("b")), _session(SessionState.ENDED, saved=False), 9000)
    assert timeline.packets == ()
    assert "not kept" in timeline.note


def test_it_says_how_far_it_looked_back() -> None:
    stream = Stream(*(_emit("again") for _ in range(6000)))
    timeline = timeline_of(stream, _session(SessionState.LIVE), 9000)
    assert len(timeline.packets) == 5000
    assert timeline.looked_back_to == timeline.packets[0].offset.ms
    large = Stream(*(DRAFTS.broadcast(NSP, ["large", "x" * 2**20], Audience(())) for _ in range(20)))
    assert len(timeline_of(large, _session(SessionState.LIVE), 9000).packets) < 18


def test_it_agrees_with_what_a_return_would_bring(source: Source, recorded: Recorded) -> None:
    looked_at = 0
    for session in find_sessions(source):
        rehearsal = rehearse(source, session.pid, settings=TIMING.settings)
        membership = rehearsal.connection.membership if rehearsal.recovered else None
        timeline = timeline_of(source, session, source.now_ms(), membership=membership)
        fates = {each.offset: each.fate for each in timeline.packets}
        sent = {packet.offset for packet in rehearsal.packets}
        assert {str(offset) for offset, fate in fates.items() if fate is Fate.MISSED} <= sent
        assert sent <= {str(offset) for offset, fate in fates.items() if fate in {Fate.MISSED, Fate.SENT}}
        lost = {each.offset for each in list_unsent(rehearsal)}
        if rehearsal.recovered:
            assert {offset for offset, fate in fates.items() if fate is Fate.LOST} <= lost
            looked_at += len(sent)
    assert looked_at >= 10


def _timeline(session: Session, *drafts: Draft, now_ms: int = 9000) -> Timeline:
    return timeline_of(Stream(*drafts), session, now_ms)


def test_drawn_is_when_something_happened() -> None:
    timeline = _timeline(
        _session(SessionState.AWAY, since=1003), *(_emit("x") for _ in range(10)), now_ms=7_000_000
    )
    begin, end = focus_of(timeline)
    assert begin <= 1003
    assert 1009 <= end < 3000
    long_before = [_emit("x") for _ in range(4000)]
    late = _timeline(_session(SessionState.AWAY, since=4990, proven=Offset(4900, 0)), *long_before)
    assert focus_of(late)[0] > 2000
    quiet = _timeline(_session(SessionState.LIVE, since=5000), now_ms=9000)
    assert focus_of(quiet) == (5000, 9000)


def test_shapes_stay_on_the_strip() -> None:
    timeline = _timeline(
        _session(SessionState.AWAY, since=1005, granted=1002), *(_emit("x") for _ in range(300))
    )
    for begin, end in (focus_of(timeline), (timeline.begin_ms, timeline.end_ms), (1000, 1000)):
        lanes = lanes_of(timeline, begin, end)
        assert [lane.name for lane in lanes] == ["Connection", "Sent", "Missed", "Events"]
        for bar in (bar for lane in lanes for bar in lane.bars):
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 5
            assert 0 <= bar.y <= bar.y + bar.height <= 100.1
    assert [lane.said for lane in lanes_of(timeline, timeline.begin_ms, timeline.end_ms)][2] == (
        "294 missed, 0 lost"
    )


def test_a_rate_is_drawn_of_all_seconds() -> None:
    seconds = {second: second for second in range(100)}
    bars = bars_of_seconds(seconds, 0, 99, 10)
    assert [int(bar.said.split()[0]) for bar in bars] == [sum(range(at, at + 10)) for at in range(0, 100, 10)]
    assert max(bar.height for bar in bars) == 100
    assert bars_of_seconds({}, 0, 99) == ()


def test_a_line_needs_two_points() -> None:
    assert line_of([(0, 1.0)]).points == ""
    line = line_of([(0, 0.0), (10, 5.0)], 10.0)
    assert line.points.split()[0] == "0.0,100.0"
    assert line.target is not None
    assert 0 < line.target < 50
    assert line_of([(0, 0.0), (10, 0.0)]).points


def test_the_origin_is_no_moment() -> None:
    session = _session(SessionState.AWAY, saved=False)
    assert session.start == ORIGIN
    timeline = _timeline(session)
    assert timeline.begin_ms == 5000
