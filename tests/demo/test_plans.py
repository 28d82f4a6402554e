"""Traffic and breaks are drawn from a seed, and all their kinds occur."""

from random import Random

from adapter.demo.breaks import BreakKind, Breaks
from adapter.demo.records import EVERYONE
from adapter.demo.traffic import ROOMS, Traffic, client_name, rooms_of

CLIENTS = ("c01", "c02", "c03")


def test_the_same_seed_gives_the_same_traffic() -> None:
    first, second = (Traffic(Random("seed"), CLIENTS) for _ in range(2))
    assert [first.next_turn() for _ in range(50)] == [second.next_turn() for _ in range(50)]


def test_traffic_addresses_everyone_rooms_and_clients_singly_and_in_bursts() -> None:
    traffic = Traffic(Random(1), CLIENTS)
    turns = [traffic.next_turn() for _ in range(300)]
    emits = [emit for turn in turns for emit in turn.emits]
    assert {len(turn.emits) > 1 for turn in turns} == {True, False}
    assert {emit.to for emit in emits} >= {(EVERYONE,), *((name,) for name in (*CLIENTS, *ROOMS))}
    assert any(len(emit.to) == 2 for emit in emits)
    assert {emit.but for emit in emits} == {None, *CLIENTS}


def test_every_room_has_members_and_some_clients_are_in_two() -> None:
    rooms = [rooms_of(number) for number in range(1, 31)]
    assert frozenset().union(*rooms) == frozenset(ROOMS)
    assert {len(joined) for joined in rooms} == {1, 2}


def test_no_two_clients_share_a_name() -> None:
    assert len({client_name(number) for number in range(1, 500)}) == 499


def test_the_same_seed_gives_the_same_breaks() -> None:
    first, second = (Breaks(Random("seed")) for _ in range(2))
    assert [first.next_break() for _ in range(50)] == [second.next_break() for _ in range(50)]


def test_breaks_are_of_all_kinds_instant_and_delayed_here_and_there() -> None:
    breaks = Breaks(Random(1), typical=2.0)
    drawn = [breaks.next_break() for _ in range(300)]
    assert {planned.kind for planned in drawn} == set(BreakKind)
    assert {planned.moves for planned in drawn} == {True, False}
    assert any(planned.away == 0 for planned in drawn)
    assert any(planned.online == 0 for planned in drawn)
    assert 1.0 < max(planned.away for planned in drawn) <= 2.0
