"""A check-up of a deployment: what is likely to cost somebody a session, and what to do about it.

Each check looks at one thing and says what it found. What a file cannot tell (a server's memory, say) is
skipped there. Nothing is changed, and no check reads more than the sessions once and ten thousand entries.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from recovery.errors import StoreError
from recovery.inspect.cluster_check import check_cluster
from recovery.inspect.decoding import decode_stored
from recovery.inspect.findings import Finding, Level
from recovery.inspect.listing import Timing
from recovery.inspect.records import Session, SessionState
from recovery.inspect.server_source import ServerSource
from recovery.inspect.sources import Source
from recovery.inspect.traffic import Traffic, measure_traffic
from recovery.records import ServerId
from recovery.stores.redis.keys import Keys

__all__ = ["Finding", "Level", "check_up"]

_OLDEST = {"valkey": (7, 2), "redis": (6, 2)}
_SKEW_MS = 5_000
_GRAVITY = {Level.SKIP: 0, Level.OK: 1, Level.WARN: 2, Level.FAIL: 3}
_FULL = 0.9  # of maxmemory
_FILLING = 0.75
_DEAD_AFTER = 7  # checkpoints without a word; with every fourth one a server writes of all its clients
_TOLERANCE_MS = 2_000  # between two servers' windows, as their sessions show them


@dataclass(slots=True)
class _Census:
    """What one walk through the sessions tells."""

    states: Counter[SessionState] = field(default_factory=Counter[SessionState])
    epochs: Counter[str] = field(default_factory=Counter[str])
    windows: dict[ServerId, int] = field(default_factory=dict[ServerId, int])
    written: dict[ServerId, int] = field(default_factory=dict[ServerId, int])
    problems: Counter[str] = field(default_factory=Counter[str])
    everlasting: int = 0


def check_up(
    source: Source,
    keys: Keys,
    timing: Timing | None = None,
    *,
    user: str | None = None,
    now_ms: int | None = None,
) -> Iterator[Finding]:
    """Check a deployment, one finding after the other.

    Args:
        keys: the names that the servers use.
        timing: what they are set to.
        user: the store's user that they connect as, whose rights are to be checked.

    Raises:
        StoreError: the source does not answer.

    Example::

        for finding in check_up(source, Keys("socket.io", "sio:session:")):
            print(finding.level, finding.check, finding.said, finding.todo)
    """
    timing = timing or Timing()
    now_ms = source.now_ms() if now_ms is None else now_ms
    yield from _servers_of_the_store(source, keys)
    yield _clock("clock", source)
    yield _rights("rights", source, keys, user)
    traffic = measure_traffic(source, timing, now_ms=now_ms)
    yield _window("window", traffic)
    yield _max_len("max_len", traffic, timing)
    census = _count(source, timing, now_ms)
    yield _sessions("sessions", census)
    yield _epochs("epoch", census, traffic)
    yield _servers("servers", source, census, timing, now_ms)
    yield _settings("settings", census, timing)


# ---------------------------------------------------------------------- the store


def _servers_of_the_store(source: Source, keys: Keys) -> Iterator[Finding]:
    server = source if isinstance(source, ServerSource) else None
    servers = [source.facts()] if server is None else server.facts_of_each()
    for name, check in _OF_THE_SERVER.items():
        if not any(servers):
            yield Finding(name, Level.SKIP, "only a server can tell")
        elif server is not None and server.is_cluster and check is _topology:
            yield check_cluster(name, server, keys)
        else:
            yield max((check(name, facts) for facts in servers), key=lambda found: _GRAVITY[found.level])


def _version(check: str, facts: Mapping[str, str]) -> Finding:
    product = "valkey" if "valkey_version" in facts else "redis"
    version = facts.get(f"{product}_version", "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    said, oldest = f"{product.capitalize()} {version}", ".".join(map(str, _OLDEST[product]))
    if numbers < _OLDEST[product]:
        return Finding(check, Level.FAIL, said, f"use {oldest} or later")
    return Finding(check, Level.OK, said)


def _topology(check: str, facts: Mapping[str, str]) -> Finding:
    if facts.get("cluster_enabled") == "1":
        return Finding(check, Level.FAIL, "a node of a cluster", "use redis+cluster:// in place of redis://")
    role = facts.get("role", "unknown")
    if role != "master":
        return Finding(
            check, Level.FAIL, f"its role is {role}", "connect to the primary: a replica takes no writes"
        )
    replicas = facts.get("connected_slaves", "0")
    return Finding(check, Level.OK, f"a primary with {replicas} replicas")


def _eviction(check: str, facts: Mapping[str, str]) -> Finding:
    policy, limit = facts.get("maxmemory_policy", "unknown"), int(facts.get("maxmemory", "0"))
    evicted = int(facts.get("evicted_keys", "0"))
    todo = (
        "set maxmemory-policy noeviction: an evicted session is lost, and an evicted stream loses everybody's"
    )
    if evicted:
        return Finding(check, Level.FAIL, f"{evicted} keys were evicted, policy {policy}", todo)
    if limit and policy != "noeviction":
        return Finding(check, Level.FAIL, f"policy {policy} with maxmemory {limit}", todo)
    return Finding(check, Level.OK, f"policy {policy}, nothing was evicted")


def _memory(check: str, facts: Mapping[str, str]) -> Finding:
    used, limit = int(facts.get("used_memory", "0")), int(facts.get("maxmemory", "0"))
    limit = limit or int(facts.get("total_system_memory", "0"))
    if not limit:
        return Finding(check, Level.SKIP, f"{used} bytes are used, of an unknown number")
    share = used / limit
    said = f"{used} of {limit} bytes are used ({100 * share:.0f}%)"
    if share >= _FULL:
        return Finding(
            check, Level.FAIL, said, "give it memory, or keep less: a full store refuses every emit"
        )
    if share >= _FILLING:
        return Finding(
            check, Level.WARN, said, "give it memory before it is full: then every emit is refused"
        )
    return Finding(check, Level.OK, said)


def _persistence(check: str, facts: Mapping[str, str]) -> Finding:
    if facts.get("aof_enabled") == "1":
        if facts.get("aof_last_write_status") == "err":
            return Finding(check, Level.FAIL, "the append-only file cannot be written", "look at its disk")
        return Finding(check, Level.OK, "append-only file")
    if facts.get("rdb_last_bgsave_status") == "err":
        return Finding(
            check, Level.FAIL, "the last RDB file could not be written", "look at its disk and log"
        )
    return Finding(
        check,
        Level.WARN,
        "no append-only file",
        "set appendonly yes: else a restart loses what came after the last RDB file, sessions among it",
    )


_OF_THE_SERVER: Mapping[str, Callable[[str, Mapping[str, str]], Finding]] = {
    "version": _version,
    "topology": _topology,
    "eviction": _eviction,
    "memory": _memory,
    "persistence": _persistence,
}


def _clock(check: str, source: Source) -> Finding:
    if not source.is_live:
        return Finding(check, Level.SKIP, "a file has no clock")
    skew = source.now_ms() - round(time.time() * 1000)
    said = f"the store's clock is {abs(skew)} ms {'ahead of' if skew >= 0 else 'behind'} this machine's"
    if abs(skew) > _SKEW_MS:
        return Finding(
            check, Level.WARN, said, "set the clocks (NTP); recovery uses the store's alone, logs do not"
        )
    return Finding(check, Level.OK, said)


def _rights(check: str, source: Source, keys: Keys, user: str | None) -> Finding:
    if user is None or not isinstance(source, ServerSource) or not source.is_live:
        return Finding(check, Level.SKIP, "name the servers' user with --user, and a live store")
    lacking: list[str] = []
    try:
        for command in _needed(keys):
            answer = source.ask("ACL", "DRYRUN", user, *command)
            if answer != b"OK":
                lacking.append(f"{command[0]} {command[1] if len(command) > 1 else ''}".strip())
    except StoreError as error:
        return Finding(
            check, Level.SKIP, f"cannot be asked: {error}", "it takes Redis 7.0 or later, and +acl|dryrun"
        )
    if lacking:
        todo = "give it the rights of docs/explanation/security.md"
        return Finding(check, Level.FAIL, f"the user {user} may not: {', '.join(lacking)}", todo)
    return Finding(check, Level.OK, f"the user {user} may do all that servers do")


def _needed(keys: Keys) -> list[tuple[str, ...]]:
    """One command for each right and each kind of key (``docs/explanation/security.md``)."""
    claim, session = "{" + keys.session_key_prefix + "x}:claim", f"{keys.session_key_prefix}x"
    return [
        ("TIME",),
        ("EVAL", "return 1", "2", keys.stream, keys.epoch),
        ("EVALSHA", "0" * 40, "2", session, claim),
        ("XADD", keys.stream, "*", "a", "b"),
        ("XREAD", "STREAMS", keys.stream, "0"),
        ("XRANGE", keys.stream, "-", "+"),
        ("XREVRANGE", keys.stream, "+", "-"),
        ("XLEN", keys.stream),
        ("XTRIM", keys.stream, "MAXLEN", "1"),
        ("HGET", keys.epoch, "id"),
        ("HMGET", claim, "n"),
        ("HSET", claim, "n", "1"),
        ("HDEL", claim, "nonce"),
        ("SET", session, "x"),
        ("GET", session),
        ("STRLEN", session),
        ("EXISTS", session),
        ("DEL", session),
        ("PEXPIRE", claim, "1"),
    ]


# ---------------------------------------------------------------------- the stream


def _window(check: str, traffic: Traffic | None) -> Finding:
    if traffic is None:
        return Finding(check, Level.WARN, "there is no stream", "no server has started with these names yet")
    if traffic.untrimmed:
        return Finding(check, Level.OK, "the stream holds everything since its beginning")
    held, window = traffic.held_ms / 1000, traffic.window_ms / 1000
    said = f"the stream reaches back {held:.0f} s, clients may be away {window:.0f} s"
    if not traffic.covers_window:
        return Finding(
            check, Level.FAIL, said, "raise max_len, and see that no Node server trims the same stream"
        )
    return Finding(check, Level.OK, said)


def _max_len(check: str, traffic: Traffic | None, timing: Timing) -> Finding:
    most = timing.settings.max_len
    if most is None:
        return Finding(check, Level.OK, "no cap on the stream: it is trimmed by time")
    rate = None if traffic is None else traffic.part.per_second
    if rate is None:
        return Finding(check, Level.SKIP, f"max_len is {most}, and there is no traffic to compare it with")
    needed = round(rate * timing.retention_ms / 1000)
    said = f"max_len is {most}; at {rate:.1f} entries a second the retention has {needed}"
    if needed > most:
        return Finding(check, Level.FAIL, said, f"raise max_len above {needed}, with room for peaks")
    if needed * 2 > most:
        return Finding(
            check, Level.WARN, said, f"raise max_len to {needed * 4}: a peak would cut into the window"
        )
    return Finding(check, Level.OK, said)


# ---------------------------------------------------------------------- the sessions


def _count(source: Source, timing: Timing, now_ms: int) -> _Census:
    census = _Census()
    for stored in source.sessions():
        session = decode_stored(stored, now_ms)
        census.states[session.state] += 1
        if session.problem and len(census.problems) < 100:
            census.problems[session.problem] += 1
        if stored.claim and stored.claim_until_ms is None:
            census.everlasting += 1
        if session.state in {SessionState.LIVE, SessionState.AWAY, SessionState.CLOSING}:
            census.epochs[session.epoch] += 1
        _note_server(census, session, timing, now_ms)
    return census


def _note_server(census: _Census, session: Session, timing: Timing, now_ms: int) -> None:
    written = timing.written_ms(session, now_ms)
    if written is not None:
        census.written[session.holder] = max(census.written.get(session.holder, 0), written)
    if session.state in {SessionState.AWAY, SessionState.CLOSING}:
        shown = session.deadline_ms - session.since_ms  # less than the window by the time that the save took
        census.windows[session.holder] = max(census.windows.get(session.holder, 0), shown)


def _sessions(check: str, census: _Census) -> Finding:
    said = (
        ", ".join(f"{count} {state.value}" for state, count in census.states.most_common())
        or "there are none"
    )
    if census.everlasting:
        todo = "somebody has written them: delete them"
        return Finding(check, Level.FAIL, f"{said}; {census.everlasting} never expire", todo)
    if census.problems:
        problem, count = census.problems.most_common(1)[0]
        todo = "see that all servers have one version, and that nobody else writes these keys"
        return Finding(check, Level.WARN, f"{said}; of {count} {problem}", todo)
    return Finding(check, Level.OK, said)


def _epochs(check: str, census: _Census, traffic: Traffic | None) -> Finding:
    mine = "" if traffic is None else traffic.stream.epoch
    strangers = sum(count for epoch, count in census.epochs.items() if epoch != mine)
    if strangers:
        said = f"{strangers} sessions are of another epoch than the stream"
        todo = "the stream was deleted, or a failover lost writes: these clients cannot be recovered"
        return Finding(check, Level.WARN, said, todo)
    return Finding(check, Level.OK, "all sessions are of the stream's epoch")


def _servers(check: str, source: Source, census: _Census, timing: Timing, now_ms: int) -> Finding:
    patience = _DEAD_AFTER * round(timing.settings.checkpoint_interval * 1000)
    silent = [
        server
        for server, written in census.written.items()
        if now_ms - max(written, source.last_batch_ms(server) or 0) > patience
    ]
    if silent:
        whom = ", ".join(silent[:5])
        said = f"nothing was heard for {patience / 1000:.0f} s of {whom}, whose clients count as live"
        return Finding(
            check, Level.WARN, said, "it was killed, or hangs; its clients recover on other servers"
        )
    if census.states[SessionState.LIVE] and not census.written:
        said = "when servers last wrote cannot be told with these settings"
        return Finding(check, Level.SKIP, said, "give the servers' own with --set")
    return Finding(check, Level.OK, f"{len(census.written)} servers with clients, all heard of lately")


def _settings(check: str, census: _Census, timing: Timing) -> Finding:
    windows = census.windows
    if not windows:
        return Finding(check, Level.SKIP, "no client is away, nothing shows the servers' windows")
    least, most = min(windows.values()), max(windows.values())
    shown = ", ".join(f"{server}: {window / 1000:.0f} s" for server, window in list(windows.items())[:5])
    if most - least > max(_TOLERANCE_MS, most // 20):
        todo = "set max_disconnection_duration alike on all servers"
        return Finding(check, Level.FAIL, f"servers have different windows ({shown})", todo)
    given = timing.settings.window_ms
    if abs(given - most) > max(_TOLERANCE_MS, most // 20):
        said = f"clients may be away for {most / 1000:.0f} s, this command was told {given / 1000:.0f} s"
        return Finding(check, Level.WARN, said, f"--set max_disconnection_duration={most / 1000:.0f}")
    return Finding(check, Level.OK, f"the same window everywhere ({shown})")
