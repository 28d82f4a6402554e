"""A room that a client had left, with confirmation, was there again after it came back.

A failover lost the claim of its connection, and its next claim was given the same number. So a save of
the old connection, whose rooms had changed after the new one had read them, was accepted.
"""

from recovery.testing.calamities import FailOver, StopReplication
from recovery.testing.plans import Plan, run
from recovery.testing.steps import Come, Emit, Exit, Wait


def test_a_claim_that_a_failover_lost_writes_nothing_under_the_next_one() -> None:
    plan = Plan(
        seed=76552,
        servers=1,
        clients=("anna", "ben", "cleo"),
        rooms=("red", "blue"),
        ping=(2.0, 1.0),
        settings={"max_disconnection_duration": 30.0, "block_time": 2.0, "takeover_timeout": 0.2},
        returning=frozenset({"anna"}),
        steps=(
            Come("anna", "s1"),
            Come("cleo", "s1"),
            Wait(0.27438),
            StopReplication(),
            Come("cleo", "s1"),
            Wait(0.3148),
            FailOver(),
            Emit("s1", ("blue",)),
            Exit("s1", "anna", "blue"),
            Wait(0.03378),
            Emit("s1", ("red",)),
            Exit("s1", "cleo", "red"),
            Come("cleo", "s1"),
        ),
    )

    outcome = run(plan)

    assert outcome.problems == [], "\n".join([str(plan), *map(str, outcome.problems)])
