"""Snapshots: whole or refused, and no larger in memory than a block."""

import stat
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.errors import SourceError, StoreUnavailableError
from recovery.inspect import Source, entries_between, open_source, write_snapshot
from recovery.inspect.records import StoredSession
from recovery.inspect.snapshot_format import (
    BEGIN,
    BlockKind,
    packed_entry,
    packed_session,
    read_block,
    unpacked_entry,
    unpacked_session,
    write_block,
    write_tail,
)
from recovery.inspect.snapshots import Selection, SnapshotSource
from recovery.offsets import ORIGIN, Offset
from recovery.packing import pack, unpack
from recovery.records import Entry, Pid
from recovery.testing.strategies import offsets

END = Offset(2**64 - 1, 0)

entries = st.builds(Entry, offsets(), st.dictionaries(st.binary(), st.binary()))
moments = st.none() | st.integers(0, 2**53)
stored_sessions = st.builds(
    StoredSession,
    st.text().map(Pid),
    st.dictionaries(st.sampled_from(["n", "state", "nsp", "deadline"]), st.binary()),
    st.none() | st.binary(),
    st.none() | st.integers(0, 2**32),
    claim_until_ms=moments,
    value_until_ms=moments,
    problem=st.text(),
)


@pytest.fixture
def snapshot(live: Source, somewhere: Path) -> Path:
    """A snapshot of the data set."""
    write_snapshot(live, somewhere)
    return somewhere


@given(entries)
def test_an_entry_survives(entry: Entry) -> None:
    assert unpacked_entry(unpack(pack(packed_entry(entry)))) == entry


@given(stored_sessions)
def test_a_session_survives(stored: StoredSession) -> None:
    again = unpacked_session(unpack(pack(packed_session(stored))))
    assert again == stored
    assert (again.claim_until_ms, again.value_until_ms) == (stored.claim_until_ms, stored.value_until_ms)


@given(st.recursive(st.none() | st.integers(0, 9) | st.text() | st.binary(), st.lists))
def test_no_value_is_more_than_a_damaged_one(value: object) -> None:
    for read in (unpacked_entry, unpacked_session):
        with pytest.raises(SourceError):
            read(value)


def test_a_snapshot_of_a_snapshot_holds_the_same(snapshot: Path, live: Source, tmp_path: Path) -> None:
    with closing(open_source(snapshot)) as first:
        write_snapshot(first, tmp_path / "second")
        with closing(open_source(tmp_path / "second")) as second:
            assert list(second.sessions()) == list(first.sessions())
            assert list(entries_between(second)) == list(entries_between(live))
            assert second.now_ms() == first.now_ms()
            assert second.stream() == first.stream()


def test_a_snapshot_is_for_its_owner_only(snapshot: Path) -> None:
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    assert [path.name for path in snapshot.parent.iterdir()] == [snapshot.name]


def test_a_snapshot_that_was_cut_off_anywhere_is_refused(snapshot: Path) -> None:
    whole = snapshot.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        snapshot.write_bytes(whole[:length])
        with pytest.raises(SourceError):
            SnapshotSource(snapshot)


def test_a_damaged_byte_is_noticed_where_it_is_read(snapshot: Path) -> None:
    whole = bytearray(snapshot.read_bytes())
    unnoticed: list[int] = []
    spread = range(len(BEGIN), len(whole), max(1, len(whole) // 60))
    for place in (*spread, *range(len(whole) - 16, len(whole))):  # all of the tail, which has no checksum
        snapshot.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(SourceError), closing(SnapshotSource(snapshot)) as source:
            _read_everything(source)
            unnoticed.append(place)
    assert len(unnoticed) <= 5, unnoticed  # the header has nothing that must be right but its version


@pytest.mark.parametrize("place", [-1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_place_where_nothing_can_be_is_damage(somewhere: Path, place: int) -> None:
    somewhere.write_bytes(BEGIN)
    with somewhere.open("rb") as file, pytest.raises(SourceError, match="the snapshot is damaged"):
        read_block(file, place, BlockKind.INDEX)


def _read_everything(source: Source) -> None:
    assert len(list(source.sessions())) + len(list(entries_between(source))) > 0


def test_a_newer_version_is_refused_by_name(somewhere: Path) -> None:
    _write_blocks(somewhere, {"version": 2})
    with pytest.raises(SourceError, match="it has version 2, this release reads 1"):
        SnapshotSource(somewhere)


def test_a_block_that_expands_without_end_is_refused(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recovery.inspect.snapshot_format._MOST_BLOCK_BYTES", 1000)
    _write_blocks(somewhere, {"version": 1, "note": "x" * 2000})
    with pytest.raises(SourceError, match="too large"):
        SnapshotSource(somewhere)


def _write_blocks(path: Path, header: object) -> None:
    with path.open("wb") as file:
        file.write(BEGIN)
        write_block(file, BlockKind.HEADER, header)
        index = {"taken_ms": 5, "epoch": "e", "sessions": [], "entries": [], "servers": {}}
        write_tail(file, write_block(file, BlockKind.INDEX, index))


def test_an_empty_snapshot_answers(somewhere: Path) -> None:
    _write_blocks(somewhere, {"version": 1})
    with closing(SnapshotSource(somewhere)) as source:
        assert source.stream() is None
        assert source.length() == 0
        assert source.read_back(END, 10) == source.read(ORIGIN, 10) == ()
        assert list(source.sessions()) == []


def test_many_blocks_are_read_as_one_row(
    live: Source, somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recovery.inspect.snapshots._BLOCK_BYTES", 1)
    write_snapshot(live, somewhere)
    everything = list(entries_between(live))
    with closing(open_source(somewhere)) as source:
        assert list(entries_between(source)) == everything
        assert source.read_back(everything[-1].offset, 5) == tuple(reversed(everything[-5:]))
        assert len(list(source.sessions())) == len(list(live.sessions()))


def test_a_selection_leaves_out_the_rest(live: Source, somewhere: Path) -> None:
    everything = list(entries_between(live))
    some = Selection(
        after=everything[2].offset,
        upto=everything[6].offset,
        wanted=lambda stored: stored.claim.get("nsp") == b"/chat",
        note="a part",
    )
    written = write_snapshot(live, somewhere, some)
    with closing(SnapshotSource(somewhere)) as source:
        assert list(entries_between(source)) == everything[3:7]
        assert [stored.claim["nsp"] for stored in source.sessions()] == [b"/chat"]
        assert (written.sessions, written.entries, source.note) == (1, 4, "a part")


def test_a_place_that_cannot_be_written_is_said(live: Source, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot write"):
        write_snapshot(live, tmp_path / "nowhere" / "file")


def test_a_snapshot_that_fails_leaves_nothing(
    live: Source, somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(after: Offset, count: int, *, wait_ms: int = 0) -> tuple[Entry, ...]:
        raise StoreUnavailableError("gone", maybe_applied=False)

    monkeypatch.setattr(live, "read", fail)
    somewhere.write_text("the one of before")
    with pytest.raises(StoreUnavailableError):
        write_snapshot(live, somewhere)
    assert somewhere.read_text() == "the one of before"
    assert [path.name for path in somewhere.parent.iterdir()] == [somewhere.name]
