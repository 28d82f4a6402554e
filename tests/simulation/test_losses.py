"""A failover is judged: who knew of it has to tell, and who cannot know is excused."""

import pytest

from recovery.testing.calamities import Crash, CutOff, FailOver, JumpClock, StopReplication
from recovery.testing.plans import Plan, run
from recovery.testing.steps import Come, Disconnect, Emit, Lose, Step, Wait

_LOSE_A_PACKET: tuple[Step, ...] = (
    Come("anna", "s1"),
    Come("ben", "s2"),
    Wait(0.1),
    StopReplication(),
    Emit("s1"),
    Wait(0.05),
    FailOver(),
)


def _kinds(*steps: Step) -> set[str]:
    plan = Plan(1, servers=2, clients=("anna", "ben"), steps=steps, ping=(25.0, 20.0))
    return {problem.kind for problem in run(plan).problems}


def _never(*_arguments: object, **_options: object) -> bool:
    return False


def _ignore_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect: servers do not look for what they know."""
    monkeypatch.setattr("recovery.flows.reading.is_lost", _never)
    monkeypatch.setattr("recovery.aio.runtime.is_lost", _never)
    monkeypatch.setattr("recovery.stores.memory_stream.Stream.has_lost", _never)


def test_a_loss_that_is_told_is_no_problem() -> None:
    assert _kinds(*_LOSE_A_PACKET, Wait(20.0)) == set()


def test_a_loss_that_is_not_told_by_those_who_knew_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _ignore_losses(monkeypatch)
    assert "not told" in _kinds(*_LOSE_A_PACKET, Wait(20.0))


def test_who_knew_may_not_die_in_silence_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    _ignore_losses(monkeypatch)
    assert "not told" in _kinds(*_LOSE_A_PACKET, Wait(20.0), Crash("s1"), Crash("s2"))


def test_who_knew_may_die_before_it_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kinds(*_LOSE_A_PACKET, Crash("s1"), Crash("s2")) == set()
    _ignore_losses(monkeypatch)
    assert _kinds(*_LOSE_A_PACKET, Crash("s1"), Crash("s2")) == set(), "nobody is left who could tell"


def test_who_knows_recovers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """She has not heard the lost packet: her offset tells nothing."""
    _ignore_losses(monkeypatch)
    steps = (*_LOSE_A_PACKET[:4], Emit("s1", ("ben",)), *_LOSE_A_PACKET[5:])
    assert "papered over" in _kinds(*steps, Wait(2.0), Come("anna", "s2"))


def test_an_end_that_only_the_sessions_knew_of_is_undone() -> None:
    steps = (Come("anna", "s1"), Wait(0.1), StopReplication(), Disconnect("s1", "anna"), Wait(0.05))
    assert _kinds(*steps, FailOver(), Wait(2.0), Come("anna", "s2"), Wait(0.1)) == set()


def test_no_offset_is_given_twice_though_the_clock_is_behind_and_nobody_is_left_who_knew() -> None:
    """Clients of a real store could not tell such entries apart: the simulation does without."""
    lose = (Come("anna", "s1"), Wait(0.1), StopReplication(), Emit("s1"), Emit("s1"), Wait(0.05))
    behind = (Crash("s1"), Crash("s2"), FailOver(), JumpClock("store", -600.0))
    assert _kinds(*lose, *behind, Wait(2.0), Come("anna", "s2"), Wait(0.1)) == set()


def _end_her_elsewhere(*then: Step) -> set[str]:
    """s2 disconnects anna, who is on s1, which cannot read that; the entry is lost."""
    ended = (
        StopReplication(),
        CutOff("s1", 1.0, refused=True),
        Disconnect("s2", "anna"),
        Wait(0.05),
        FailOver(),
    )
    return _kinds(Come("anna", "s1"), Wait(0.1), *ended, *then)


def test_an_end_that_only_an_entry_knew_of_is_undone_if_nobody_is_left_who_knew() -> None:
    assert _end_her_elsewhere(Crash("s2"), Wait(2.0), Come("anna", "s1"), Wait(0.1)) == set()


def test_an_end_that_only_an_entry_knew_of_is_told_by_who_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _end_her_elsewhere(Wait(20.0)) == set()
    _ignore_losses(monkeypatch)
    assert "not told" in _end_her_elsewhere(Wait(20.0))


def test_an_end_that_the_store_kept_stays_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect: entries that end sessions of clients that are away are not applied."""
    ended = (
        Come("anna", "s1"),
        Wait(0.1),
        Lose("anna", "reset"),
        Wait(0.1),
        Disconnect("s2", "anna"),
        Wait(0.05),
    )
    steps = (*ended, StopReplication(), Wait(0.1), FailOver(), Wait(2.0), Come("anna", "s1"), Wait(0.1))
    assert _kinds(*steps) == set()
    monkeypatch.setattr("recovery.core.replay._apply", _never)
    assert "after its end" in _kinds(*steps)
