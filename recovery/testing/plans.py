"""Plans: a story of a cluster that can be told, run, judged and shortened.

A plan is data. The same plan always runs the same way, in any process. Whatever happens in it, at its end all
faults are healed, all clients come back, everybody gets what is owed, and leaves; then it is judged:

1. the promise P1 to P5, by `recovery.testing.checker`;
2. refusals, which must have a true reason (`recovery.testing.verdicts`);
3. errors: nothing may be raised or logged that is none of this library's own;
4. what is left on the servers when all clients have gone (`recovery.testing.residue`).
"""

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from recovery.errors import RecoveryError
from recovery.settings import Settings, SettingsOptions
from recovery.testing.checker import check
from recovery.testing.cluster import SimulatedCluster
from recovery.testing.history import History, Received
from recovery.testing.residue import residue
from recovery.testing.servers import Application, example_application
from recovery.testing.steps import Step
from recovery.testing.verdicts import find_papered_over, find_untrue_refusals

__all__ = ["Outcome", "Plan", "Problem", "errors_logged", "finish", "open_cluster", "run"]

_PATIENCE = 60.0  # seconds of virtual time within which everybody has to be back, and to have everything

_ROUNDS = 4  # a connection may have been about to break; once all is well, nothing breaks any more


@dataclass(frozen=True, slots=True)
class Plan:
    """A story: who is there, and what happens.

    Attributes:
        seed: of all that the steps leave to chance: how long frames travel, where clients come back.
        clients: names; each comes back by itself if it is in `returning`.
        rooms: that a fresh client enters in its connect handler.
        ping: interval and timeout of Engine.IO, in seconds.
    """

    seed: int
    servers: int
    clients: tuple[str, ...]
    steps: tuple[Step, ...]
    returning: frozenset[str] = frozenset()
    rooms: tuple[str, ...] = ()
    ping: tuple[float, float] = (5.0, 4.0)
    settings: SettingsOptions = field(default_factory=SettingsOptions)

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        head = (
            f"Seed {self.seed}: {self.servers} servers, clients {', '.join(self.clients)};"
            f" {', '.join(sorted(self.returning)) or 'nobody'} by itself comes back;"
            f" ping {self.ping[0]:g} + {self.ping[1]:g} s; {settings}"
        )
        return "\n".join([head, *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1))])


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be.

    Attributes:
        kind: few words, the same for the like of it.
        text: what it is, in words.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Outcome:
    """What came of a plan.

    Attributes:
        problems: what must not be; empty if all is well.
        refusals: reasons, counted.
        recoveries: how many connects were recovered.
        packets: how many reached a client.
        seconds: of virtual time.
    """

    problems: list[Problem]
    refusals: Counter[str]
    recoveries: int
    packets: int
    seconds: float
    history: History


def run(plan: Plan, *, application: Application = example_application) -> Outcome:
    """Run a plan and judge what came of it."""
    with errors_logged() as logged, open_cluster(plan, application) as cluster:
        try:
            for step in plan.steps:
                step.do(cluster)
        except Exception as exc:  # noqa: BLE001 - a defect of what is simulated, and to be shortened, too
            return _judge_all(plan, cluster, [_failed(exc)], logged)
        return finish(plan, cluster, logged)


def finish(plan: Plan, cluster: SimulatedCluster, logged: Sequence[str]) -> Outcome:
    """End well whatever was done to the cluster of a plan, and judge it.

    Args:
        logged: what `errors_logged` has collected.
    """
    try:
        problems = _end_well(cluster)
    except Exception as exc:  # noqa: BLE001 - as in `run`
        problems = [_failed(exc)]
    return _judge_all(plan, cluster, problems, logged)


def open_cluster(plan: Plan, application: Application = example_application) -> SimulatedCluster:
    """Make the servers and clients of a plan; none of its steps is done."""
    ping_interval, ping_timeout = plan.ping
    cluster = SimulatedCluster(
        servers=plan.servers,
        seed=plan.seed,
        application=application,
        server_options={"ping_interval": ping_interval, "ping_timeout": ping_timeout},
        **plan.settings,
    )
    for name in plan.clients:
        cluster.client(name, returns=name in plan.returning, rooms=list(plan.rooms))
    return cluster


def _end_well(cluster: SimulatedCluster) -> list[Problem]:
    """Heal everything, bring everybody back, deliver everything, and let all leave."""
    cluster.heal()
    for _ in range(_ROUNDS):
        if not cluster.reunite(_PATIENCE):
            apart = ", ".join(name for name, client in cluster.clients.items() if not client.connected)
            text = f"not connected within {_PATIENCE} s, with nothing in the way: {apart}"
            return [Problem("not connected", text)]
        settled = cluster.settle(_PATIENCE)
        if settled and all(client.connected for client in cluster.clients.values()):
            break
    else:
        text = f"{_ROUNDS} times, not everybody had everything within {_PATIENCE} s, with nothing in the way"
        return [Problem("not settled", text)]
    cluster.part()
    return [
        Problem("residue", f"{name} keeps {table} when all clients have gone: {str(left)[:200]}")
        for name, server in cluster.servers.items()
        for table, left in residue(server).items()
    ]


def _failed(exc: Exception) -> Problem:
    return Problem("failed", f"the simulation failed: {exc!r}")


def _judge_all(
    plan: Plan, cluster: SimulatedCluster, problems: Sequence[Problem], logged: Sequence[str]
) -> Outcome:
    found = [*problems, *(Problem(each.kind, str(each)) for each in check(cluster.history))]
    found += _judge(cluster, notice=sum(plan.ping))
    found += [Problem("logged", f"logged: {message}") for message in logged]
    return _outcome(cluster, found)


def _judge(cluster: SimulatedCluster, *, notice: float) -> list[Problem]:
    attempts, settings = cluster.recorder.attempts, Settings(**cluster.settings)
    found = [Problem("wrong", text) for text in cluster.recorder.wrong]
    found += [
        Problem("untrue", text)
        for text in find_untrue_refusals(attempts, cluster.faults, settings, notice=notice)
    ]
    found += [Problem("papered over", text) for text in find_papered_over(attempts)]
    found += [Problem("not told", text) for text in cluster.losses.end(cluster.time)]
    found += [Problem("uncaught", f"nobody caught {error}") for error in cluster.loop.errors]
    for operation in cluster.operations:
        if operation.error is not None and not isinstance(operation.error, RecoveryError):
            found.append(Problem("raised", f"{operation.what} raised {operation.error!r}"))
    return found


def _outcome(cluster: SimulatedCluster, problems: list[Problem]) -> Outcome:
    attempts = [attempt for attempt in cluster.recorder.attempts if attempt.answered_at is not None]
    return Outcome(
        problems,
        refusals=Counter(attempt.reason.value for attempt in attempts if attempt.reason is not None),
        recoveries=sum(attempt.recovered for attempt in attempts),
        packets=sum(isinstance(event, Received) and event.heard for event in cluster.history.events),
        seconds=cluster.time,
        history=cluster.history,
    )


class _Errors(logging.Handler):
    """Collects errors, but for those that say what was done to the store."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") != "reader.gap":
            error = record.exc_info[1] if record.exc_info else None
            self.messages.append(f"{record.getMessage()}" + ("" if error is None else f": {error!r}"))


@contextmanager
def errors_logged() -> Generator[list[str]]:
    """What is logged as an error by this library, python-socketio and asyncio, within a block."""
    handler = _Errors()
    root: Any = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)
