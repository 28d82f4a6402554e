"""Hypothesis makes up stories, and shortens the ones that go wrong."""

import contextlib
import io
import re
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from recovery.core.connection import Connection
from recovery.core.dispatcher import Dispatcher
from recovery.testing.machine import ClusterMachine, FaultyClusterMachine, client_names
from recovery.testing.plans import Outcome

QUICK = settings(max_examples=40, stateful_step_count=30)


def test_without_faults_nothing_is_lost() -> None:
    totals = {"packets": 0, "recoveries": 0}

    class Counting(ClusterMachine):
        def judge(self, outcome: Outcome) -> None:
            super().judge(outcome)
            totals["packets"] += outcome.packets
            totals["recoveries"] += outcome.recoveries

    run_state_machine_as_test(Counting, settings=QUICK)
    assert totals["packets"] > 100
    assert totals["recoveries"] > 20


def test_with_faults_nothing_is_lost_that_is_not_said() -> None:
    run_state_machine_as_test(FaultyClusterMachine, settings=settings(QUICK, phases=[Phase.generate]))


def test_a_failure_is_short_and_can_be_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect: the last packet of each replay is forgotten."""
    hold = Dispatcher.hold

    def forget_the_last(self: Dispatcher[Any], connection: Connection[Any], packets: Any) -> int:
        return hold(self, connection, packets[:-1])

    monkeypatch.setattr(Dispatcher, "hold", forget_the_last)
    with pytest.raises(AssertionError) as failure:
        run_state_machine_as_test(ClusterMachine, settings=settings(QUICK, phases=[Phase.generate]))
    text = str(failure.value)
    assert text.startswith("The promise was broken.\n")
    assert " lost: number " in text
    story = re.findall(r"^  \d+\. ", text, re.MULTILINE)
    assert 3 <= len(story) <= 6, text
    program = text[text.index("  from recovery") :]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec("\n".join(line.strip() for line in program.splitlines()))  # noqa: S102 - what the message says
    assert " lost: number " in output.getvalue()


def register_handlers(sio: Any) -> None:
    """An application that sends what it hears to all."""

    async def connect(sid: str, environ: Any, auth: Any = None) -> None: ...

    async def say(sid: str, text: str) -> None:
        await sio.emit("said", text)

    sio.on("connect", connect)
    sio.on("say", say)


class ChatMachine(ClusterMachine):
    """The example of the module."""

    application = staticmethod(register_handlers)
    clients: ClassVar = ("anna", "ben")
    enter_room = leave_room = close_room = None  # type: ignore[assignment]  # an application without rooms
    said: ClassVar[list[str]] = []

    @rule(client=client_names(), text=st.text(max_size=5))
    def say(self, client: str, text: str) -> None:
        self.cluster.clients[client].emit("say", text)

    def judge(self, outcome: Outcome) -> None:
        super().judge(outcome)
        for client in self.cluster.clients.values():
            self.said.extend(args[1] for args in client.received if args[0] == "said")


def test_an_application_adds_rules_and_handlers_of_its_own() -> None:
    ChatMachine.said.clear()
    run_state_machine_as_test(ChatMachine, settings=QUICK)
    assert ChatMachine.said
