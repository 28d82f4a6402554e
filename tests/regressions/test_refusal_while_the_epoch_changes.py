"""A client that came back while its server noticed a failover was told that its replay was too large.

The server was reading back what the client had missed. Its reader found that the stream had lost writes, gave
it a new epoch and began a new log, so that what was being read did not fit any more. The stream held all that
the client needed: the reason was said to be the size, and is the epoch.
"""

from typing import Any

from recovery.commands import Command, RenewStream
from recovery.driver import run
from recovery.flows.backfill import complete_log
from recovery.flows.steps import CompleteLog
from recovery.reasons import Reason
from recovery.records import Epoch
from recovery.stores.memory import MemoryState
from tests.unit.hosts import Host, Names, gone_away, presenting


class _Noticing(Host):
    """A server whose reader notices a failover while it reads back."""

    def perform(self, command: Command[Any]) -> Any:
        if not isinstance(command, CompleteLog):
            return super().perform(command)
        flow = complete_log(self.dispatcher.log, command.back_to, count=self.settings.read_count)
        return run(flow, self._notice_and_execute)

    def _notice_and_execute(self, command: Command[Any]) -> Any:
        reply = self.state.execute(command)
        renewal = RenewStream(self.dispatcher.epoch, Epoch("new"), self.dispatcher.position)
        stream = self.state.execute(renewal)
        self.dispatcher.skip_to(stream.last, stream.epoch)
        return reply


def test_the_reason_is_the_epoch() -> None:
    state, names = MemoryState(), Names()
    host = Host(state, names=names)
    away = gone_away(host)
    host.event("missed")
    other = _Noticing(state, "two", names=names)

    refused = other.admit(presenting(away))

    assert refused.recovery.reason is Reason.EPOCH_CHANGED
