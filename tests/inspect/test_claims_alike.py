"""What the inspector says of a claim is what the store then answers to it, on each kind of server."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import redis

from recovery.commands import Claimed, ClaimRefused, ClaimSession, SaveSession
from recovery.inspect import open_source
from recovery.inspect.rehearsal import answer_to
from recovery.offsets import Offset
from recovery.records import Epoch, HolderState, Namespace, Pid
from recovery.stores import open_store
from tests.contract.builders import PID, claim, save
from tests.hostile.test_poison_claims import CASES, ESSENTIAL
from tests.inspect.recording import KEYS
from tests.servers import SERVER_KINDS
from tests.waiting import wait_until

SAVES: dict[str, SaveSession] = {
    "live": save(create=True),
    "away": save(create=True, state=HolderState.AWAY, proven=Offset(5, 1)),
    "closing": save(create=True, state=HolderState.CLOSING),
    "ended": save(create=True, state=HolderState.ENDED),
    "without a value": save(create=True, value=None),
    "of chat": save(create=True, namespace=Namespace("/chat")),
    "of a user": save(create=True, identity="ann"),
    "strange names": save(create=True, namespace=Namespace("/\u202e"), identity="\n"),
    "expired": save(create=True, ttl_ms=1, keep_ms=60_000, linger_ms=60_000),
    "expired, value gone": save(create=True, ttl_ms=1),
}
CLAIMS: dict[str, ClaimSession] = {
    "plain": claim(),
    "of chat": claim(namespace=Namespace("/chat")),
    "strange names": claim(namespace=Namespace("/\u202e"), identity="\n"),
    "of a user": claim(identity="ann"),
    "of another epoch": claim(epoch=Epoch("f")),
    "for little": claim(max_bytes=3),
    "for enough": claim(max_bytes=7),
    "of another pid": claim(pid=Pid("another")),
}


@pytest.fixture(params=[*SERVER_KINDS, "memory"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{request.node.nodeid}"
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def both(url: str) -> Iterator[Any]:
    """The store, and a source of it."""
    names = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}
    with closing(open_store(url, **names)) as store, closing(open_source(url)) as source:
        yield store, source


def _compare(store: Any, source: Any, command: ClaimSession) -> Claimed | ClaimRefused:
    told = answer_to(command, source.session(command.pid), source.now_ms())
    before = source.session(command.pid)
    answered: Claimed | ClaimRefused = store.execute(command)
    if isinstance(answered, Claimed) and isinstance(told, Claimed):
        assert told.since_ms == pytest.approx(answered.since_ms, abs=5000)
        told = replace(told, since_ms=answered.since_ms)
    elif isinstance(answered, ClaimRefused):
        after = source.session(command.pid)
        assert before == after or "proven" in answered.detail
    assert told == answered
    return answered


def _wait_until_expired(source: Any, pid: Pid, have: str) -> None:
    if "expired" in have:
        wait_until(lambda: source.now_ms() > int(source.session(pid).claim["deadline"]), what="expired")


@pytest.mark.parametrize("ask", CLAIMS)
@pytest.mark.parametrize("have", SAVES)
def test_a_claim_is_judged_as_the_store_judges_it(both: Any, have: str, ask: str) -> None:
    store, source = both
    store.execute(SAVES[have])
    _wait_until_expired(source, PID, have)
    _compare(store, source, CLAIMS[ask])


def test_the_cases_reach_most_reasons(both: Any) -> None:
    store, source = both
    seen = set[str]()
    for number, (have, ask) in enumerate((have, ask) for have in SAVES for ask in CLAIMS):
        pid = Pid(f"pid-{number}")
        store.execute(replace(SAVES[have], pid=pid))
        _wait_until_expired(source, pid, have)
        answered = _compare(store, source, replace(CLAIMS[ask], pid=pid))
        seen.add(answered.reason if isinstance(answered, ClaimRefused) else "granted")
    assert seen >= {"granted", "disconnected", "session-expired", "namespace-mismatch"}
    assert seen >= {"identity-mismatch", "epoch-changed", "session-unknown"}


@pytest.mark.parametrize("kind", SERVER_KINDS)
@pytest.mark.parametrize(("field", "value"), [*CASES, *((field, None) for field in ESSENTIAL)])
def test_a_claim_that_somebody_else_wrote_is_judged_so_too(
    request: pytest.FixtureRequest, kind: str, field: str, value: Any
) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    names = {"stream_name": KEYS.stream_name, "session_key_prefix": KEYS.session_key_prefix}
    with (
        closing(open_store(url, **names)) as store,
        closing(open_source(url)) as source,
        redis.Redis.from_url(url) as hand,
    ):
        store.execute(save(create=True))
        if value is None:
            hand.hdel(KEYS.claim(PID), field)
        else:
            hand.hset(KEYS.claim(PID), field, value)
        assert isinstance(_compare(store, source, claim()), ClaimRefused)
