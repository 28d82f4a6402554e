"""Two connections presented one pid to one server, and neither got the session.

The one that claimed first was restored first, under a claim number that the second had already raised; the
second then found the sid taken and was refused as unknown, although its claim is the one in force.
"""

from typing import Any

from recovery.commands import Command, Flow
from recovery.core.connection import Connection
from recovery.core.decision import Presented
from recovery.flows.admission import admit
from recovery.flows.steps import AwaitPosition, Claim
from recovery.stores.memory import MemoryState
from tests.unit.builders import Frame
from tests.unit.hosts import Host


def _finish(host: Host, flow: Flow[Connection[Frame]], waiting: Command[Any]) -> Connection[Frame]:
    """Carry a flow on from the step that it waits at."""
    step = waiting
    while True:
        try:
            step = flow.send(host.perform(step))
        except StopIteration as stop:
            outcome: Connection[Frame] = stop.value
            return outcome


def _until(kind: type[Command[Any]], host: Host, flow: Flow[Any], step: Command[Any]) -> Command[Any]:
    """Go on up to a step of this kind, which is not carried out."""
    while not isinstance(step, kind):
        step = flow.send(host.perform(step))
    return step


def test_the_newer_claim_gets_the_session() -> None:
    host = Host(MemoryState())
    lost = host.connect()
    host.drop(lost)
    presented = Presented(lost.pid)
    earlier, later = (
        admit(host.newcomer(presented), host.dispatcher, host.drafts, host.settings) for _ in range(2)
    )
    claims = [_until(Claim, host, flow, next(flow)) for flow in (earlier, later)]
    replies = [host.perform(claim) for claim in claims]
    steps = [earlier.send(replies[0]), later.send(replies[1])]

    # Both are on their way; the newer one has vacated the sid already when the older one arrives.
    outcomes: list[Connection[Frame]] = []
    step = _until(AwaitPosition, host, later, steps[1])
    for flow, waiting in ((earlier, steps[0]), (later, step)):
        outcomes.append(_finish(host, flow, waiting))

    assert outcomes[1].recovery.recovered
    assert host.dispatcher.find(outcomes[1].namespace, lost.sid) is outcomes[1]
