"""From a client's CONNECT to a held connection: recovered whole, or fresh and told why.

Driven synchronously over the store in memory, with the clock stopped.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory

from recovery.commands import Append, ClaimSession, Command, ReadBack
from recovery.core.connection import Connection, Phase
from recovery.core.decision import Presented, read_auth
from recovery.errors import PublishError, StoreUnavailableError
from recovery.flows.steps import AwaitPosition, AwaitRelease, CompleteLog, Publish
from recovery.offsets import Offset
from recovery.reasons import Reason
from recovery.records import Epoch, Pid
from tests.unit.builders import CHAT, NSP, THERE, Client, Frame, audience
from tests.unit.hosts import SETTINGS, Host, gone_away, presenting

# ---------------------------------------------------------------------- why not: every reason


Case = Callable[[Host, FrozenDateTimeFactory], Connection[Frame]]


def _unknown(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    return host.connect(Presented(Pid("x" * 32)))


def _expired(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    clock.tick(timedelta(seconds=SETTINGS.max_disconnection_duration + 1))
    return host.connect(presenting(away))


def _ended(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    connection = host.connect()
    host.disconnect(connection)
    return host.connect(presenting(connection))


def _disconnected_while_away(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    host.emit(host.drafts.disconnect(NSP, audience(away.sid)))
    host.read()
    return host.connect(presenting(away))


def _malformed_pid(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    return host.connect(read_auth({"pid": 5})[0])


def _malformed_offset(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    return host.connect(read_auth({"pid": away.pid, "offset": "?"})[0])


def _trimmed(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    for number in range(40):
        host.event(f"e{number}")
    host.read()
    host.state.execute(_append_with_cap(host, 5))
    return host.connect(presenting(away))


def _beyond_the_end(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    return host.connect(presenting(away, Offset(host.dispatcher.position.ms + 1, 0)))


def _new_epoch(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    host.dispatcher.epoch = Epoch("another")
    return host.connect(presenting(away))


def _other_namespace(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    return host.connect(presenting(gone_away(host)), namespace=CHAT)


def _other_identity(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    return host.connect(presenting(gone_away(host)), identity="eve")


def _too_much(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    for number in range(SETTINGS.max_client_buffer + 1):
        host.event(f"e{number}")
    host.read()
    return host.connect(presenting(away))


def _forgotten_meanwhile(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    host.emit(*[host.drafts.broadcast(NSP, ["e"], audience("nobody"))] * 15)
    host.read()

    def flood() -> None:
        host.emit(*[host.drafts.broadcast(NSP, ["e"], audience("nobody"))] * 15)
        host.read()

    host.on_wait = flood
    return host.connect(presenting(away))


def _reader_stuck(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    host.reading = False
    return host.connect(presenting(away, host.event("never read here")))


def _store_away(host: Host, clock: FrozenDateTimeFactory) -> Connection[Frame]:
    away = gone_away(host)
    _fail_at(host, ClaimSession, StoreUnavailableError("no answer", maybe_applied=True))
    return host.admit(presenting(away))


CASES: list[tuple[Reason, Case]] = [
    (Reason.SESSION_UNKNOWN, _unknown),
    (Reason.SESSION_EXPIRED, _expired),
    (Reason.DISCONNECTED, _ended),
    (Reason.DISCONNECTED, _disconnected_while_away),
    (Reason.MALFORMED, _malformed_pid),
    (Reason.MALFORMED, _malformed_offset),
    (Reason.OFFSET_TRIMMED, _trimmed),
    (Reason.OFFSET_UNKNOWN, _beyond_the_end),
    (Reason.EPOCH_CHANGED, _new_epoch),
    (Reason.NAMESPACE_MISMATCH, _other_namespace),
    (Reason.IDENTITY_MISMATCH, _other_identity),
    (Reason.REPLAY_TOO_LARGE, _too_much),
    (Reason.REPLAY_TOO_LARGE, _forgotten_meanwhile),
    (Reason.STORE_UNAVAILABLE, _reader_stuck),
    (Reason.STORE_UNAVAILABLE, _store_away),
]
SHOWN_ELSEWHERE = {Reason.REFUSED}
"""A refusal by the application's connect handler is the front end's to tell: see tests/e2e."""


@pytest.mark.parametrize(("reason", "case"), CASES, ids=lambda part: str(getattr(part, "__name__", part)))
def test_every_reason_is_reachable_and_gives_a_fresh_session(
    reason: Reason, case: Case, host: Host, clock: FrozenDateTimeFactory
) -> None:
    connection = case(host, clock)

    assert (connection.recovery.recovered, connection.recovery.reason) == (False, reason)
    assert connection.recovery.replayed == 0
    assert connection.phase is not Phase.ENDED
    assert host.dispatcher.find(connection.namespace, connection.sid) is connection
    assert len(list(host.dispatcher.connections())) == 1, "nothing half-restored is left behind"


def test_every_reason_has_its_case() -> None:
    assert {reason for reason, _ in CASES} | SHOWN_ELSEWHERE == set(Reason)


# ---------------------------------------------------------------------- a refusal destroys nothing


@pytest.mark.parametrize(
    "wrong",
    [
        {"namespace": CHAT},
        {"identity": "eve"},
        {"presented": "unknown offset"},
        {"presented": "malformed"},
        {"epoch": "another"},
    ],
    ids=str,
)
def test_a_correct_claim_after_a_refused_one_recovers(host: Host, wrong: dict[str, Any]) -> None:
    away = gone_away(host)
    host.event("missed")
    host.read()
    presented = {
        "unknown offset": Presented(away.pid, Offset(2**60, 0)),
        "malformed": read_auth({"pid": away.pid, "offset": 5})[0],
    }.get(wrong.get("presented", ""), presenting(away))
    epoch = host.dispatcher.epoch
    host.dispatcher.epoch = Epoch(wrong.get("epoch", epoch))
    changes = {name: value for name, value in wrong.items() if name in {"namespace", "identity"}}
    refused = host.connect(presented, **changes)
    assert not refused.recovery.recovered
    host.dispatcher.epoch = epoch
    client = Client()

    recovered = host.connect(presenting(away), client=client)

    assert recovered.recovery.recovered
    assert (recovered.sid, client.events) == (away.sid, ["received", "missed"])


def _forget(host: Host) -> None:
    """Have a server's log reach back to nothing, so that it has to be completed."""
    host.read()
    host.dispatcher.skip_to(host.dispatcher.position, host.dispatcher.epoch)


@pytest.mark.parametrize("kind", [ClaimSession, ReadBack, CompleteLog, Publish, AwaitRelease, AwaitPosition])
def test_a_store_that_fails_at_any_step_leaves_the_session_to_be_claimed_again(
    host: Host, other: Host, kind: type[Command[Any]]
) -> None:
    held = host.connect()  # still open there, so that a takeover is needed
    host.event("missed")
    offset = other.event("seen elsewhere")
    other.on_wait = host.read
    if kind is CompleteLog:
        _forget(other)
    _fail_at(other, kind, PublishError("no answer", maybe_stored=True))

    refused = other.connect(presenting(held, offset))
    assert refused.recovery.reason is Reason.STORE_UNAVAILABLE
    del other.__dict__["perform"]
    again = other.connect(presenting(held))

    assert again.recovery.recovered
    assert again.sid == held.sid


@pytest.mark.parametrize("kind", [ClaimSession, ReadBack, CompleteLog])
@pytest.mark.parametrize("carried_out", [False, True])
def test_a_store_that_does_not_answer_for_a_moment_costs_nothing(
    host: Host, other: Host, kind: type[Command[Any]], carried_out: bool
) -> None:
    """A claim whose reply was lost is repeated with its nonce, and has the same answer."""
    held = host.connect()
    host.event("missed")
    offset = other.event("seen elsewhere")
    other.on_wait = host.read
    if kind is CompleteLog:
        _forget(other)
    perform, silent = other.perform, {"times": 3}

    def failing(command: Command[Any]) -> Any:
        if type(command) is not kind or not silent["times"]:
            return perform(command)
        silent["times"] -= 1
        if carried_out:
            perform(command)
        raise StoreUnavailableError("no answer", maybe_applied=carried_out)

    other.__dict__["perform"] = failing
    again = other.connect(presenting(held, offset))
    assert not silent["times"], "this test would show nothing"
    assert again.recovery.recovered
    assert (again.sid, again.number) == (held.sid, 2)


def test_a_failure_after_the_takeover_leaves_one_owner(host: Host, other: Host) -> None:
    held = host.connect()
    other.on_wait = host.read
    _fail_at(other, AwaitPosition, StoreUnavailableError("no answer", maybe_applied=False))
    other.connect(presenting(held))
    assert held.phase is Phase.ENDED


def _fail_at(host: Host, kind: type[Command[Any]], error: Exception) -> None:
    perform = host.perform

    def failing(command: Command[Any]) -> Any:
        if type(command) is kind:
            raise error
        return perform(command)

    host.__dict__["perform"] = failing


def _append_with_cap(host: Host, max_len: int) -> Command[Any]:
    draft = host.drafts.broadcast(NSP, ["e"], audience("nobody"))
    return Append(THERE, 1, (draft,), Epoch("e"), host.retention_ms, max_len)
