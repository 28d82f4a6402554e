"""A client that was refused by a server that lagged behind, and came back, lacked packets of its new session.

It kept the offset of its earlier session, as the JavaScript client does until it receives a packet. That
offset was above the start of the new session, and passed for what it had of it.
"""

import pytest

from recovery.commands import ClaimSession
from recovery.core.connection import Connection
from recovery.errors import StoreUnavailableError
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.stores.memory import MemoryState
from tests.unit.builders import Frame
from tests.unit.hosts import Host, Names, gone_away, presenting


class _Lagging:
    """A server that is in step, one that lags, and a client that the second has refused.

    Attributes:
        offset: what the client keeps of its earlier session.
        client: its connection to the server that lags.
    """

    def __init__(self) -> None:
        state, names = MemoryState(), Names()
        self.host, self.late = Host(state, names=names), Host(state, "two", names=names)
        away = gone_away(self.host)
        self.offset = self.host.dispatcher.position
        self.client = self._refused(away)
        self.late.accept(self.client)

    def _refused(self, away: Connection[Frame]) -> Connection[Frame]:
        perform = self.late.perform

        def fail_claims(command: object) -> object:
            if isinstance(command, ClaimSession):
                raise StoreUnavailableError("no answer", maybe_applied=True)
            return perform(command)  # type: ignore[arg-type]  # every command

        self.late.perform = fail_claims  # type: ignore[method-assign]  # for one test
        client = self.late.admit(presenting(away, self.offset))
        assert client.recovery.reason is Reason.STORE_UNAVAILABLE
        self.late.perform = perform  # type: ignore[method-assign]
        return client

    def come_back(self, offset: Offset) -> Connection[Frame]:
        self.late.drop(self.client)
        self.host.read()
        return self.host.admit(presenting(self.client, offset))


@pytest.fixture
def lagging() -> _Lagging:
    return _Lagging()


def test_what_may_have_come_twice_is_not_guessed(lagging: _Lagging) -> None:
    """It received the packet at that offset in its earlier session, and perhaps in the new one again."""
    lagging.late.read()
    again = lagging.come_back(lagging.offset)
    assert again.recovery.reason is Reason.OFFSET_UNKNOWN


def test_a_client_that_missed_nothing_up_to_there_recovers(lagging: _Lagging) -> None:
    lagging.late.read()
    lagging.client.note(lagging.late.dispatcher.position)
    lagging.client.prove()
    later = lagging.host.event("later")
    again = lagging.come_back(lagging.offset)
    assert (again.recovery.recovered, again.recovery.replayed) == (True, 1)
    assert again.proven < later


def test_a_client_that_has_received_a_packet_since_recovers(lagging: _Lagging) -> None:
    received = lagging.host.event("received")
    lagging.late.read()
    lagging.host.event("missed")
    again = lagging.come_back(received)
    assert (again.recovery.recovered, again.recovery.replayed) == (True, 1)


def test_a_third_session_knows_the_offset_too(lagging: _Lagging) -> None:
    """A recovery changes nothing: the client may have received no packet since."""
    lagging.late.read()
    lagging.client.note(lagging.late.dispatcher.position)
    lagging.client.prove()
    again = lagging.come_back(lagging.offset)
    assert again.foreign == lagging.offset
