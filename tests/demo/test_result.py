"""The result counts what the account holds, and its verdict follows from the counts."""

import io
import json

import pytest
from rich.console import Console

from adapter.demo.records import Welcomed
from adapter.demo.result import Result, judge, percentile
from tests.demo.accounts import Account, packet


def result_of(account: Account, *welcomes: Welcomed, problems: tuple[str, ...] = ()) -> Result:
    return judge(account.ledger, welcomes, problems, seed="s", seconds=1.0)


def recovered_account() -> Account:
    """Client c1 misses packets 2 and 3 from second 1.5 to 4, and gets them back on server B."""
    account = Account()
    account.send(*(packet(number, "red") for number in (1, 2, 3, 5)))
    account.receive("c1", packet(1, "red"))
    account.break_connection("c1", 1.5)
    account.come_back("c1", 4.0, 4.1, server="B")
    account.receive("c1", packet(2, "red"), at=4.2)
    account.receive("c1", packet(3, "red"), at=4.25)
    account.receive("c1", packet(5, "red"))
    return account


def test_a_recovery_is_counted_with_what_it_brought_back() -> None:
    result = result_of(recovered_account())
    assert result.ok
    assert (result.sent, result.deliveries, result.lost, result.doubled, result.disordered) == (4, 4, 0, 0, 0)
    assert (result.breaks, result.recoveries, result.moves, result.refusals) == (1, 1, 1, {})
    assert (result.missed, result.got_back) == (2, 2)


def test_recovery_time_ends_with_the_last_missed_packet() -> None:
    assert result_of(recovered_account()).p99_ms == pytest.approx(250, abs=1)


def test_recovery_time_ends_with_connect_if_nothing_was_missed() -> None:
    account = Account()
    account.break_connection("c1", 1.0)
    account.come_back("c1", 2.0, 2.03)
    assert result_of(account).p50_ms == pytest.approx(30, abs=1)


def test_packets_emitted_after_connect_do_not_prolong_a_recovery() -> None:
    account = recovered_account()
    account.send(packet(6, "red"))
    account.receive("c1", packet(6, "red"), at=60.0)
    assert result_of(account).p99_ms == pytest.approx(250, abs=1)


def test_what_never_came_back_was_missed_too() -> None:
    account = Account()
    account.send(packet(2, "red"), packet(3, "red"))
    account.break_connection("c1", 1.0)
    account.come_back("c1", 4.0, 4.1)
    account.receive("c1", packet(3, "red"))
    result = result_of(account)
    assert (result.missed, result.got_back, result.lost, result.ok) == (2, 1, 1, False)


def test_refusals_are_counted_by_the_reason_that_the_server_gave() -> None:
    account = Account()
    for at in (1.0, 3.0):
        account.break_connection("c1", at)
        account.come_back("c1", at + 1, at + 1.5, recovered=False)
    refused = Welcomed("c1", "sid-c1-2.5", recovered=False, reason="session-expired", problem=None)
    result = result_of(account, refused)
    assert result.refusals == {"session-expired": 1, "recovery is off": 1}
    assert not result.ok


def test_a_session_that_came_back_changed_is_a_problem() -> None:
    wrong = Welcomed("c1", "sid-c1", recovered=True, reason=None, problem="the user session of c1 is {}")
    result = result_of(recovered_account(), wrong)
    assert result.problems == ("the user session of c1 is {}",)
    assert not result.ok


def test_json_holds_the_verdict_and_all_numbers() -> None:
    values = json.loads(result_of(recovered_account()).as_json())
    assert values["ok"] is True
    assert values["lost"] == values["doubled"] == values["disordered"] == values["strangers"] == 0
    assert values["recoveries"] == 1
    assert values["p50_ms"] <= values["p99_ms"]


def test_the_table_shows_counts_and_the_first_complaints() -> None:
    account = Account()
    account.send(*(packet(number, "red") for number in range(1, 31)))
    output = io.StringIO()
    console = Console(width=80, file=output)
    console.print(result_of(account, problems=("a server stumbled",)).as_table())
    text = output.getvalue()
    assert "Lost" in text
    assert "a server stumbled" in text
    assert "... and 21 more" in text
    assert "The promise was broken (seed s)." in text


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([1.0, 2.0], 99, 2.0),
    ],
)
def test_percentiles_are_values_that_occurred(
    values: list[float], percent: float, expected: float | None
) -> None:
    assert percentile(values, percent) == expected
