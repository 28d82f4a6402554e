"""The demo's server welcomes clients, notices sessions that came back changed, and reports its emits."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter.demo.records import EVERYONE, Failed, Finished, Line, Sent, Start, Welcomed
from adapter.demo.server import Emitter, welcome
from recovery.reasons import Reason
from recovery.records import Recovery

AUTH = {"client": "c01", "rooms": ["blue", "red"]}


@dataclass
class FakeServer:
    """What the demo uses of an ``AsyncServer``.

    Attributes:
        fails_at: number of the emit that raises, counted from 1; 0 for none.
    """

    fails_at: int = 0
    session: dict[str, Any] = field(default_factory=dict[str, Any])
    joined: list[str] = field(default_factory=list[str])
    emitted: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    handler: Callable[[str, Mapping[str, Any], Mapping[str, Any]], Any] | None = None

    def on(self, event: str, handler: Any) -> None:
        assert event == "connect"
        self.handler = handler

    def rooms(self, sid: str) -> list[str]:
        return [sid, *self.joined]

    async def enter_room(self, sid: str, room: str) -> None:
        self.joined.append(room)

    async def get_session(self, sid: str) -> dict[str, Any]:
        return self.session

    async def save_session(self, sid: str, session: dict[str, Any]) -> None:
        self.session = session

    async def emit(self, event: str, data: dict[str, Any], to: Any, skip_sid: Any) -> None:
        if len(self.emitted) + 1 == self.fails_at:
            raise ConnectionError("the store is gone")
        self.emitted.append({"data": data, "to": to, "skip_sid": skip_sid})


async def connected(sio: FakeServer, recovery: Recovery | None) -> Welcomed:
    reports: list[Line] = []
    welcome(sio, reports.append)
    assert sio.handler is not None
    await sio.handler("sid", {} if recovery is None else {"socketio.recovery": recovery}, AUTH)
    (report,) = reports
    assert isinstance(report, Welcomed)
    return report


async def test_a_new_client_gets_its_rooms_and_its_session() -> None:
    sio = FakeServer()
    assert await connected(sio, None) == Welcomed("c01", "sid", recovered=False, reason=None, problem=None)
    assert (sio.joined, sio.session) == (["blue", "red"], {"client": "c01"})


async def test_a_refused_client_is_new_and_the_reason_is_reported() -> None:
    sio = FakeServer()
    report = await connected(sio, Recovery(recovered=False, reason=Reason.SESSION_EXPIRED))
    assert (report.recovered, report.reason) == (False, "session-expired")
    assert sio.joined == ["blue", "red"]


async def test_a_recovered_client_is_left_as_it_came_back() -> None:
    sio = FakeServer(session={"client": "c01"}, joined=["red", "blue"])
    report = await connected(sio, Recovery(recovered=True))
    assert report == Welcomed("c01", "sid", recovered=True, reason=None, problem=None)
    assert sio.joined == ["red", "blue"]


async def test_a_session_that_came_back_changed_is_a_problem() -> None:
    report = await connected(FakeServer(joined=["red", "blue"]), Recovery(recovered=True))
    assert report.problem == "the user session of c01 is {}"


async def test_rooms_that_came_back_changed_are_a_problem() -> None:
    sio = FakeServer(session={"client": "c01"}, joined=["red", "green"])
    report = await connected(sio, Recovery(recovered=True))
    assert report.problem == "c01 is in the rooms ['green', 'red'], expected ['blue', 'red']"


async def reports_of(sio: FakeServer, *, stop_after: int = 0) -> list[Line]:
    """What an emitter reports until it ends; it is stopped after so many reports, if not 0."""
    reports: list[Line] = []
    ended = asyncio.Event()

    def report(line: Line) -> None:
        reports.append(line)
        if len(reports) == stop_after:
            emitter.stop()
        if isinstance(line, Finished | Failed):
            ended.set()

    emitter = Emitter(sio, "A", "seed", report)
    emitter.start(Start({"c01": "sid-1", "c02": "sid-2"}, ("red", "blue")))
    async with asyncio.timeout(10):
        await ended.wait()
    return reports


async def test_every_emit_is_reported_in_order_and_the_end_too() -> None:
    sio = FakeServer()
    *sent, end = await reports_of(sio, stop_after=30)
    assert end == Finished()
    packets = [line.packet for line in sent if isinstance(line, Sent)]
    assert [packet.number for packet in packets] == list(range(1, len(sent) + 1))
    assert [emitted["data"]["number"] for emitted in sio.emitted] == list(range(1, len(sent) + 1))


async def test_packets_go_to_sids_rooms_and_everyone() -> None:
    sio = FakeServer()
    await reports_of(sio, stop_after=60)
    sids = {"c01": "sid-1", "c02": "sid-2"}
    for emitted in sio.emitted:
        to, but = emitted["data"]["to"], emitted["data"]["but"]
        assert emitted["to"] == (None if to == (EVERYONE,) else [sids.get(name, name) for name in to])
        assert emitted["skip_sid"] == (None if but is None else sids[but])


async def test_an_emit_that_fails_ends_the_traffic_and_is_reported() -> None:
    *sent, end = await reports_of(FakeServer(fails_at=5))
    assert end == Failed("ConnectionError: the store is gone")
    assert 5 not in {line.packet.number for line in sent if isinstance(line, Sent)}
