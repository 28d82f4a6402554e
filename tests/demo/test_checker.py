"""The checker finds what breaks the promise, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.demo.checker import Counts, count_kinds, find_violations
from recovery.offsets import Offset
from recovery.testing.checker import Kind
from tests.demo.accounts import Account, packet


def kinds(account: Account) -> list[tuple[str, Kind, str | None]]:
    return [(found.client, found.kind, found.packet) for found in find_violations(account.ledger)]


def test_everything_once_and_in_order_is_no_fault() -> None:
    account = Account()
    everything = [packet(1), packet(2), packet(3)]
    account.send(*everything)
    account.receive("c1", *everything)
    account.receive("c2", *everything)
    assert kinds(account) == []


def test_a_packet_that_never_came_is_lost() -> None:
    account = Account()
    account.send(packet(1), packet(2))
    account.receive("c1", packet(1), packet(2))
    account.receive("c2", packet(1))
    assert kinds(account) == [("c2", Kind.LOST, "A2")]


def test_only_those_addressed_can_lose_a_packet() -> None:
    account = Account()
    account.send(packet(1, "red"), packet(2, "c2"), packet(3, but="c2"), packet(4, "green"))
    account.receive("c1", packet(1, "red"), packet(3, but="c2"))
    account.receive("c2", packet(2, "c2"))
    assert kinds(account) == []


def test_a_member_of_two_addressed_rooms_gets_the_packet_once() -> None:
    account = Account()
    account.send(packet(1, "red", "blue"))
    account.receive("c1", packet(1), packet(1))
    account.receive("c2", packet(1))
    assert kinds(account) == [("c1", Kind.DOUBLED, "A1")]


def test_each_repetition_counts() -> None:
    account = Account()
    account.send(packet(1, "red"))
    account.receive("c1", packet(1, "red"), packet(1, "red"))
    account.break_connection("c1", 2.0)
    account.come_back("c1", 3.0, 3.1)
    account.receive("c1", packet(1, "red"))
    assert kinds(account) == [("c1", Kind.DOUBLED, "A1")] * 2


def test_a_packet_after_a_later_one_of_its_server_is_out_of_order() -> None:
    account = Account()
    account.send(packet(1, "red"), packet(2, "red"))
    account.receive_as("c1", packet(2, "red"), None)
    account.receive_as("c1", packet(1, "red"), None)
    assert kinds(account) == [("c1", Kind.OUT_OF_ORDER, "A1")]


def test_an_offset_that_is_not_above_the_one_before_is_out_of_order() -> None:
    account = Account()
    sent = packet(1, "red"), packet(1, "red", server="B")
    account.send(*sent)
    account.receive_as("c1", sent[0], Offset(10, 0))
    account.receive_as("c1", sent[1], Offset(9, 9))
    assert kinds(account) == [("c1", Kind.OUT_OF_ORDER, "B1")]


def test_two_clients_that_see_different_orders_are_found() -> None:
    account = Account()
    sent = packet(1), packet(1, server="B")
    account.send(*sent)
    account.receive_as("c1", sent[0], Offset(1, 0))
    account.receive_as("c1", sent[1], Offset(2, 0))
    account.receive_as("c2", sent[1], Offset(1, 0))
    account.receive_as("c2", sent[0], Offset(2, 0))
    assert [found[:2] for found in kinds(account)] == [("c2", Kind.DISAGREEMENT)] * 2
    assert count_kinds(find_violations(account.ledger)) == Counts(0, 0, disordered=2, strangers=0)


def test_servers_without_offsets_are_compared_with_themselves_only() -> None:
    account = Account()
    sent = packet(5, "red"), packet(1, "red", server="B")
    account.send(*sent)
    for received in sent:
        account.receive_as("c1", received, None)
    assert kinds(account) == []


def test_two_clients_that_see_different_orders_without_offsets_are_found() -> None:
    account = Account()
    sent = packet(1), packet(1, server="B")
    account.send(*sent)
    for client, received in (("c1", sent), ("c2", sent[::-1])):
        for each in received:
            account.receive_as(client, each, None)
    assert [kind for _, kind, _ in kinds(account)] == [Kind.DISAGREEMENT]


def test_a_packet_for_others_is_a_stranger() -> None:
    account = Account()
    account.send(packet(1, "red"), packet(2, but="c2"))
    account.receive("c1", packet(1, "red"), packet(2, but="c2"))
    account.receive("c2", packet(1, "red"), packet(2, but="c2"))
    assert kinds(account) == [("c2", Kind.NOT_ADDRESSED, "A1"), ("c2", Kind.NOT_ADDRESSED, "A2")]


def test_a_packet_that_nobody_emitted_is_a_stranger() -> None:
    account = Account()
    account.receive("c1", packet(7))
    assert kinds(account) == [("c1", Kind.INVENTED, "A7")]
    assert count_kinds(find_violations(account.ledger)) == Counts(0, 0, 0, strangers=1)


def test_the_servers_report_counts_not_the_payload() -> None:
    account = Account()
    account.send(packet(1, "red"))
    account.receive("c1", packet(1, "red"))
    account.receive("c2", packet(1))
    assert kinds(account) == [("c2", Kind.NOT_ADDRESSED, "A1")]


def test_a_loss_says_what_the_client_was_doing() -> None:
    account = Account()
    account.send(packet(1, "red"), packet(3, "red"), packet(5, "red"))
    account.break_connection("c1", 2.0)
    account.come_back("c1", 4.0, 4.5, server="B")
    assert [found.detail for found in find_violations(account.ledger)] == [
        "to red, emitted while it was on server A",
        "to red, emitted 1.000 s after it was cut off",
        "to red, emitted while it was on server B",
    ]


@given(st.data())
def test_any_damage_to_a_good_history_is_found(data: st.DataObject) -> None:
    """Leave packets out, repeat some and move some: each loss and repetition is counted exactly."""
    count = data.draw(st.integers(1, 12))
    lost = data.draw(st.sets(st.integers(1, count)))
    doubled = data.draw(st.sets(st.integers(1, count))) - lost
    account = Account()
    account.send(*(packet(number, "red") for number in range(1, count + 1)))
    for number in range(1, count + 1):
        if number not in lost:
            account.receive("c1", packet(number, "red"))
    account.receive("c1", *(packet(number, "red") for number in doubled))
    found: dict[Kind, set[str | None]] = {}
    for violation in find_violations(account.ledger):
        found.setdefault(violation.kind, set()).add(violation.packet)
    assert found == {
        kind: numbers
        for kind, numbers in ((Kind.LOST, _names(lost)), (Kind.DOUBLED, _names(doubled)))
        if numbers
    }


def _names(numbers: set[int]) -> set[str | None]:
    return {f"A{number}" for number in numbers}


@given(st.permutations(range(1, 8)))
def test_any_change_of_order_is_found(order: list[int]) -> None:
    account = Account()
    account.send(*(packet(number, "red") for number in order))
    account.receive("c1", *(packet(number, "red") for number in order))
    assert bool(kinds(account)) == (order != sorted(order))
