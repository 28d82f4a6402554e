"""What the simulation found: each a story that went wrong once, as short as it could be made."""

from itertools import product

import pytest

from recovery.testing.calamities import CutOff, FailCommands, FailOver, Freeze, Lag, StopReplication, Trim
from recovery.testing.plans import Plan, run
from recovery.testing.steps import Come, Disconnect, Emit, Enter, Exit, Leave, Lose, Step, Wait
from recovery.testing.storage import Fate

_FOUND: dict[str, tuple[Step, ...]] = {
    "packets between a connect without the store and the store's first answer": (
        CutOff("s2", 0.05),
        Come("anna", "s2"),
        Wait(5.05),
        Emit("s1", count=2),
    ),
    "a room entered while the connect handler runs, and the client comes once more": (
        Come("anna", "s1"),
        Wait(0.4),
        Come("anna", "s1", delay=8.0),
        Wait(0.1),
        Enter("s1", "anna", "blue"),
        Wait(0.1),
        Come("anna", "s1"),
        Wait(0.1),
        Emit("s1", ("blue",)),
    ),
    "a room left while the connect handler runs, and the transport dies of it": (
        Come("anna", "s1"),
        Wait(0.1),
        Enter("s1", "anna", "red"),
        Wait(0.3),
        Come("anna", "s1", delay=8.0),
        Wait(0.6),
        Exit("s1", "anna", "red"),
        Wait(0.1),
        Emit("s1", ("red",), count=3),
        Wait(20.0),
    ),
    "a client that came before the store had ever answered": (
        CutOff("s2", 8.0, refused=True),
        Come("anna", "s2"),
        Wait(12.0),
        Come("anna", "s2"),
    ),
    "a gap in the stream while a client is being let in": (
        Come("anna", "s1"),
        Wait(0.1),
        Lag("s1", 1.0),
        Wait(120.0),
        Emit("s1", count=3),
        Come("anna", "s1"),
        Wait(0.03),
        Trim(0.0),
    ),
    "a gap before what a client needs": (
        Emit("s2", count=2, volatile=True),
        Wait(0.0135),
        CutOff("s2", 8.0),
        Emit("s1", ("blue",), volatile=True),
        Come("anna", "s1", slowest=1.0),
        Wait(6.5),
        Come("anna", "s2"),
        Trim(5.0),
    ),
    "a disconnect that cannot reach the store": (
        Come("anna", "s2"),
        Wait(0.1),
        CutOff("s2", 8.0),
        Disconnect("s2", "anna"),
        Wait(12.0),
    ),
    "a client that leaves while the store is away": (
        Come("anna", "s2"),
        Wait(12.0),
        CutOff("s2", 8.0),
        Leave("anna"),
        Wait(12.0),
    ),
    "a server that stands still while its client is disconnected elsewhere": (
        Come("anna", "s2"),
        Wait(12.0),
        Freeze("s2", 40.0),
        Wait(0.4),
        Disconnect("s1", "anna"),
        Lose("anna", "silent"),
        Come("anna", "s1"),
    ),
    "a second failover loses that the epoch was renewed after the first one": (
        Come("anna", "s1"),
        Come("ben", "s2"),
        Wait(0.1),
        StopReplication(),
        Emit("s2"),
        Wait(0.05),
        FailOver(),
        StopReplication(),
        Wait(12.0),
        FailOver(),
        Wait(20.0),
    ),
    "an emit that was delivered, lost by a failover before its reply, and repeated": (
        Come("anna", "s1"),
        Wait(0.1),
        StopReplication(),
        FailCommands("s1", (Fate.REPLY_LOST,)),
        Emit("s1"),
        Wait(0.005),
        FailOver(),
    ),
}


@pytest.mark.parametrize("name", _FOUND)
def test_what_was_found_is_mended(name: str) -> None:
    for seed, ping in product(range(3), ((2.0, 1.0), (25.0, 20.0))):
        plan = Plan(seed, servers=2, clients=("anna", "ben"), steps=_FOUND[name], ping=ping)

        outcome = run(plan)

        assert outcome.problems == [], "\n".join([str(plan), *map(str, outcome.problems)])
