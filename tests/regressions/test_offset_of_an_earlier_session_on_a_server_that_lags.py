"""A client that was refused by a server that lagged behind, and came back, lacked packets of its new session.

It kept the offset of its earlier session, as the JavaScript client does until it receives a packet. That
offset was above the start of the new session, and passed for what it had of it.
"""

from recovery.commands import ClaimSession
from recovery.errors import StoreUnavailableError
from recovery.reasons import Reason
from recovery.stores.memory import MemoryState
from tests.unit.hosts import Host, Names, gone_away, presenting


def test_a_client_that_is_ahead_of_its_server_gets_no_session_to_come_back_to() -> None:
    state, names = MemoryState(), Names()
    host, late = Host(state, names=names), Host(state, "two", names=names)
    away = gone_away(host)
    perform = late.perform

    def fail_claims(command: object) -> object:
        if isinstance(command, ClaimSession):
            raise StoreUnavailableError("no answer", maybe_applied=True)
        return perform(command)  # type: ignore[arg-type]  # every command

    late.perform = fail_claims  # type: ignore[method-assign]  # for one test
    fresh = late.admit(presenting(away, host.dispatcher.position))

    assert fresh.recovery.reason is Reason.STORE_UNAVAILABLE
    assert fresh.pid is None
    late.read()
    again = late.admit(presenting(away, host.dispatcher.position))
    assert again.pid is not None
