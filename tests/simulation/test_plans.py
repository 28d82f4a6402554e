"""Plans are told, run, judged and shortened."""

from typing import Any

import socketio

from recovery.testing.calamities import Crash
from recovery.testing.planning import make_plan
from recovery.testing.plans import Outcome, Plan, Problem, run
from recovery.testing.shrinking import shrink
from recovery.testing.steps import Come, Emit, Leave, Lose, Step, Wait

_STEPS: tuple[Step, ...] = (
    Come("anna", "s1"),
    Wait(0.1),
    Emit("s1", count=3),
    Lose("anna", "reset"),
    Emit("s2", ("anna",)),
    Crash("s1"),
    Come("anna", "s2"),
)


def test_a_story_can_be_read() -> None:
    story = str(Plan(1, servers=2, clients=("anna",), steps=_STEPS))

    assert "1. anna connects to s1, whose connect handler lets it in\n" in story
    assert "4. anna loses its connection: reset\n" in story
    assert "6. s1 is killed\n" in story


def test_every_step_can_be_left_out() -> None:
    for seed in (3, 8, 21):
        plan = make_plan(seed)
        for index in range(0, len(plan.steps), 7):
            steps = plan.steps[:index] + plan.steps[index + 1 :]
            assert run(Plan(seed, plan.servers, plan.clients, steps)).problems == []


def test_a_plan_is_shortened_to_what_matters() -> None:
    plan = Plan(1, servers=2, clients=("anna",), steps=_STEPS * 4)

    def run_and_dislike_crashes(candidate: Plan) -> Outcome:
        outcome = run(candidate)
        if any(isinstance(step, Crash) for step in candidate.steps) and Leave("anna") not in candidate.steps:
            outcome.problems.append(Problem("crash", "somebody was killed"))
        return outcome

    assert shrink(plan, run=run_and_dislike_crashes).steps == (Crash("s1"),)


def test_a_plan_that_goes_well_stays_as_it_is() -> None:
    plan = Plan(1, servers=2, clients=("anna",), steps=_STEPS)

    assert shrink(plan) == plan


def test_an_application_of_ones_own_is_judged_too() -> None:
    """One that answers each packet with another one, and enters a room in its connect handler."""

    def application(sio: socketio.AsyncServer) -> None:
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            if not environ["socketio.recovery"].recovered:
                await sio.enter_room(sid, "lobby")
            await sio.emit("joined", {"who": sid}, room="lobby")

        sio.on("connect", connect)

    outcome = run(Plan(1, servers=2, clients=("anna", "ben"), steps=_STEPS), application=application)

    assert outcome.problems == []
    emitted = [event for event in outcome.history.events if type(event).__name__ == "Emitted"]
    assert any(str(getattr(event, "packet", "")).startswith("joined@") for event in emitted)


def test_a_broken_application_is_found() -> None:
    def application(sio: socketio.AsyncServer) -> None:
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            raise ZeroDivisionError

        sio.on("connect", connect)

    outcome = run(Plan(1, servers=1, clients=("anna",), steps=(Come("anna", "s1"),)), application=application)

    assert {problem.kind for problem in outcome.problems} >= {"logged", "not connected"}
