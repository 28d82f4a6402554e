"""A person sees what each client missed and got back."""

import io

import pytest
from rich.console import Console

from adapter.demo.screen import LineScreen, LiveScreen, describe_return
from tests.demo.accounts import Account, packet


def returned_account(*, recovered: bool) -> Account:
    """Client c1 was away from second 1 to 3 and missed packet 2; c2 is still away and missed 3."""
    account = Account()
    account.send(packet(2, "c1"), packet(3, "c2"))
    account.break_connection("c1", 1.0)
    account.come_back("c1", 3.0, 3.1, server="B", recovered=recovered)
    if recovered:
        account.receive("c1", packet(2, "c1"), at=3.2)
    account.break_connection("c2", 2.5)
    return account


def test_a_return_is_put_into_words() -> None:
    before, visit = returned_account(recovered=True).ledger.clients["c1"].visits
    assert describe_return("c1", before, visit, 0) == (
        "c1 was cut off on A, was back on B after 2.0 s: missed 1, got back 1 in 200 ms"
    )


def test_a_refused_return_says_so() -> None:
    before, visit = returned_account(recovered=False).ledger.clients["c1"].visits
    assert describe_return("c1", before, visit, 1) == (
        "c1 was cut off on A, was back on B after 2.0 s, with a new session: missed 1, got back 0"
    )


@pytest.mark.parametrize("recovered", [True, False])
def test_lines_tell_each_return_once(recovered: bool) -> None:
    output = io.StringIO()
    screen = LineScreen(Console(file=output, width=40))
    account = returned_account(recovered=recovered)
    with screen.showing():
        screen.update(account.ledger, 0.5)
        screen.update(account.ledger, 0.6)
    assert output.getvalue().count("c1 was cut off on A") == 1
    assert len(output.getvalue().splitlines()) == 1


def test_a_line_waits_until_the_missed_packets_are_there() -> None:
    output = io.StringIO()
    now = 4.0
    screen = LineScreen(Console(file=output, width=200), clock=lambda: now)
    account = Account()
    account.send(packet(2, "c1"))
    account.break_connection("c1", 1.0)
    account.come_back("c1", 3.0, 3.1)
    screen.update(account.ledger, 0.5)
    assert output.getvalue() == ""
    account.receive("c1", packet(2, "c1"), at=4.0)
    screen.update(account.ledger, 0.5)
    assert "missed 1, got back 1 in 1000 ms" in output.getvalue()


def test_a_line_does_not_wait_for_ever() -> None:
    output = io.StringIO()
    screen = LineScreen(Console(file=output, width=200), clock=lambda: 60.0)
    account = Account()
    account.send(packet(2, "c1"))
    account.break_connection("c1", 1.0)
    account.come_back("c1", 3.0, 3.1)
    screen.update(account.ledger, 0.5)
    assert "missed 1, got back 0" in output.getvalue()


def drawn(account: Account, width: int, height: int) -> str:
    output = io.StringIO()
    console = Console(file=output, width=width, height=height, force_terminal=True, legacy_windows=False)
    screen = LiveScreen(console)
    with screen.showing():
        screen.say("Breaking connections")
        screen.update(account.ledger, 0.5)
    return output.getvalue()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_the_live_table_shows_what_clients_got_back_and_are_missing(width: int, height: int) -> None:
    text = drawn(returned_account(recovered=True), width, height)
    assert "got back 1/1" in text
    assert "missing 1" in text


def test_a_small_terminal_says_how_many_clients_it_leaves_out() -> None:
    assert "1 more" in drawn(returned_account(recovered=True), 40, 10)


def test_a_refused_client_stands_out() -> None:
    assert "new session, 1 lost" in drawn(returned_account(recovered=False), 80, 24)
