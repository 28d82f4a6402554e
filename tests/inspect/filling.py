"""A store with as many sessions and entries as are asked for, written without servers."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import redis

from recovery.drafts import Drafts
from recovery.entries import PayloadCodec
from recovery.offsets import Offset
from recovery.records import Audience, Epoch, Namespace, Pid, Room, RoomChange, SavedSession, ServerId, Sid
from recovery.sessions import encode_session
from tests.inspect.recording import KEYS

__all__ = ["HOLDER", "ROOMS", "append_entry", "fill", "filled_pid", "save_session"]

HOLDER = "0123456789abcdef"
ROOMS = [f"room-{number}" for number in range(100)]
_AWAY_FOR = 20_000  # ms
_AT_ONCE = 2000


def filled_pid(number: int) -> Pid:
    """The pid of a session of `fill`."""
    return Pid(f"{number:08d}" + "p" * 24)


def fill(url: str, *, sessions: int, entries: int) -> None:
    """Write entries, one a millisecond up to now, and sessions that are away for 20 s."""
    now = round(time.time() * 1000)
    start = now - entries
    drafts = Drafts(ServerId(HOLDER), PayloadCodec())
    made = [
        drafts.broadcast(
            Namespace("/"), [f"event-{number % 20}", {"n": number, "text": "x" * 40}], Audience((room,))
        )
        for number, room in enumerate(ROOMS)
    ]
    with redis.Redis.from_url(url) as client:
        client.hset(KEYS.epoch, "id", "e")
        for batch in _batches(iter(range(entries)), _AT_ONCE):
            pipeline: Any = client.pipeline(transaction=False)
            for number in batch:
                pipeline.xadd(KEYS.stream, dict(made[number % len(made)].fields), id=f"{start + number}-0")
            pipeline.execute()
        for batch in _batches(iter(range(sessions)), _AT_ONCE):
            pipeline = client.pipeline(transaction=False)
            for number in batch:
                _save_one_of_many(pipeline, number, start, now)
            pipeline.execute()


def _batches(items: Iterator[Any], count: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, count)):
        yield batch


def _save_one_of_many(pipeline: Any, number: int, start: int, now: int) -> None:
    at, rooms = Offset(now - _AWAY_FOR - number % 1000, 0), (f"sid-{number}", ROOMS[number % 100])
    history: dict[Room, tuple[RoomChange, ...]] = {rooms[1]: (RoomChange(Offset(start, 0), entered=True),)}
    session = SavedSession(
        Sid(rooms[0]),
        filled_pid(number),
        Namespace("/"),
        rooms,
        {"user": number},
        Epoch("e"),
        Offset(start, 0),
        at,
        history,
    )
    save_session(pipeline, session, since=now - _AWAY_FOR, proven=at)


def save_session(
    client: Any,
    session: SavedSession,
    *,
    since: int,
    proven: Offset,
    state: str = "away",
    for_ms: int = 3_600_000,
    holder: str = HOLDER,
) -> None:
    """Write a session and its claim, which expires so many ms from now."""
    claim = {
        "n": 1,
        "owner": holder,
        "holder": holder,
        "state": state,
        "since": since,
        "deadline": round(time.time() * 1000) + for_ms,
        "proven": str(proven),
        "nsp": session.namespace,
        "identity": "",
        "epoch": session.epoch,
    }
    client.set(KEYS.session(session.pid), encode_session(session), px=for_ms)
    client.hset(KEYS.claim(session.pid), mapping=claim)
    client.pexpire(KEYS.claim(session.pid), 2 * for_ms)


def append_entry(
    client: Any, args: list[Any], *, rooms: tuple[Room, ...] = (), namespace: str = "/", uid: str = HOLDER
) -> None:
    """Append an event."""
    drafts = Drafts(ServerId(uid), PayloadCodec())
    client.xadd(KEYS.stream, dict(drafts.broadcast(Namespace(namespace), args, Audience(rooms)).fields))
