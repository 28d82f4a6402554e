"""What the clients send and make of what they get, held against a server that says what it is told to say."""

import asyncio
import logging
from typing import Any

import pytest
from socketio.packet import Packet

from adapter.client_state import ClientRecovery
from tests.clients.drivers import Driver, driving
from tests.clients.scripted import PID, event, joined, offset, scripted

RECOVERED, FRESH = ClientRecovery(recovered=True), ClientRecovery()


async def test_it_asks_for_offsets_and_has_nothing_to_present_at_first(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(f"{server.url}?room=1", auth={"token": 1})
        visit = await server.visited(1)
    assert (visit.query["offsets"], visit.query["room"]) == (["1"], ["1"])
    assert visit.auths == {"/": {"token": 1}}


async def test_it_comes_back_with_pid_and_offset_and_handlers_see_no_offset(driver: Driver) -> None:
    driver.listen("connect", "n")
    async with scripted(joined()) as server:
        await driver.connect(server.url, auth={"token": 1})
        visit = await server.visited(1)
        await visit.send(event("n", 1, offset(1)), event("n", offset(2)), event("n", "a", "b", offset(3)))
        await driver.until_got("n", 3)
        visit.cut()
        again = await server.visited(2)
        await driver.until_got("connect", 2)
    assert again.auths == {"/": {"token": 1, "pid": PID, "offset": offset(3)}}
    assert driver.got("n") == [1, (), ("a", "b")]
    assert driver.got("connect") == [FRESH, RECOVERED]
    assert driver.client.recovered()


async def test_before_its_first_packet_it_presents_the_pid_alone(driver: Driver) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths == {"/": {"pid": PID}}


async def test_an_explicit_connect_presents_the_session_too(colour: str) -> None:
    async with driving(colour, reconnection=False) as driver, scripted(joined()) as server:
        driver.listen("connect", "disconnect")
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        await driver.until_got("disconnect", 1)
        await driver.connect(server.url, auth={"token": 2})
        assert (await server.visited(2)).auths == {"/": {"token": 2, "pid": PID}}
        assert driver.got("connect") == [FRESH, RECOVERED]


async def test_an_unrecovered_reconnect_forgets_the_offset_with_its_session(driver: Driver) -> None:
    driver.listen("connect", "n")
    other = "q" * 20
    async with scripted(joined(), joined(other, reason="session-expired"), joined(other)) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("n", 1, offset(1)))
        await driver.until_got("n", 1)
        visit.cut()
        await driver.until_got("connect", 2)
        (await server.visited(2)).cut()
        assert (await server.visited(3)).auths == {"/": {"pid": other}}
        await driver.until_got("connect", 3)
    assert driver.got("connect") == [FRESH, ClientRecovery(reason="session-expired"), RECOVERED]


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        (None, {"pid": PID}),
        ({"a": 1}, {"a": 1, "pid": PID}),
        (lambda: {"a": 2}, {"a": 2, "pid": PID}),
        (lambda: None, {"pid": PID}),
        ({"pid": "mine"}, {"pid": "mine"}),  # as JavaScript has it: the application's own goes first
    ],
    ids=["none", "dict", "function", "function of none", "own pid"],
)
async def test_auth_is_merged(driver: Driver, auth: Any, sent: Any) -> None:
    async with scripted(joined()) as server:
        await driver.connect(server.url, auth=auth)
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths["/"] == sent


async def test_auth_may_be_a_coroutine_function_of_an_asyncio_client() -> None:
    tokens = iter([1, 2])

    async def auth() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"token": next(tokens)}

    async with driving("asyncio") as driver, scripted(joined()) as server:
        await driver.connect(server.url, auth=auth)
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths["/"] == {"token": 2, "pid": PID}


async def test_an_auth_that_is_no_dict_cannot_carry_a_session_and_that_is_said_once(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    driver.listen("n")
    async with scripted(joined()) as server:
        await driver.connect(server.url, auth="token")
        for number in (1, 2):
            visit = await server.visited(number)
            await visit.send(event("n", number, offset(number)))
            await driver.until_got("n", number)
            visit.cut()
        assert (await server.visited(3)).auths["/"] == "token"
    assert driver.got("n") == [1, 2]
    said = [record.getMessage() for record in caplog.records if record.name == "recovery.client"]
    assert said == ["no recovery: auth is of type str, and only a dict can carry a session along"]


async def test_namespaces_have_sessions_of_their_own(driver: Driver) -> None:
    for namespace in ("/", "/chat"):
        driver.listen("connect", "n", namespace=namespace)
    pids = {"/": PID, "/chat": "c" * 20}
    async with scripted(lambda _visit, name, _auth: joined(pids[name], name, sid=f"s{name}")) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(event("n", 1, offset(1)), event("n", 2, offset(2), namespace="/chat"))
        await driver.until_got("n", 1, "/chat")
        await driver.until_got("n", 1)
        pids["/chat"] = "d" * 20
        visit.cut()
        await driver.until_got("connect", 2)
        await driver.until_got("connect", 2, "/chat")
        auths = (await server.visited(2)).auths
        assert driver.client.get_sid("/chat") == "s/chat"
    assert auths == {
        "/": {"pid": PID, "offset": offset(1)},
        "/chat": {"pid": "c" * 20, "offset": offset(2)},
    }
    assert (driver.client.recovered("/"), driver.client.recovered("/chat")) == (True, False)


async def test_what_comes_before_connect_waits_for_it(driver: Driver) -> None:
    """Node sends what was missed first."""
    driver.listen("connect", "n")
    missed = [*event("n", 2, offset(2)), *event("n", 3, offset(3)), *joined(), *event("n", 4, offset(4))]
    async with scripted([*joined(), *event("n", 1, offset(1))], missed) as server:
        await driver.connect(server.url)
        await driver.until_got("n", 1)
        (await server.visited(1)).cut()
        await driver.until_got("n", 4)
    assert driver.names() == ["connect", "n", "connect", "n", "n", "n"]
    assert driver.got("n") == [1, 2, 3, 4]
    assert driver.got("connect") == [FRESH, RECOVERED]


async def test_what_came_before_a_connect_that_never_came_was_not_taken_over(driver: Driver) -> None:
    driver.listen("n")
    missed = [*event("n", 2, offset(2)), *event("n", 3, offset(3))]
    async with scripted([*joined(), *event("n", 1, offset(1))], missed, [*missed, *joined()]) as server:
        await driver.connect(server.url)
        await driver.until_got("n", 1)
        (await server.visited(1)).cut()
        (await server.visited(2)).cut()
        assert (await server.visited(3)).auths["/"]["offset"] == offset(1)
        await driver.until_got("n", 3)
    assert driver.got("n") == [1, 2, 3]


async def test_a_second_connect_changes_nothing(driver: Driver) -> None:
    driver.listen("connect", "n")
    async with scripted([*joined(), *joined("q" * 20), *event("n", 1, offset(1))]) as server:
        await driver.connect(server.url)
        await driver.until_got("n", 1)
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths["/"] == {"pid": PID, "offset": offset(1)}
    assert driver.names()[:2] == ["connect", "n"]


async def test_strings_that_are_no_offsets_stay_arguments(driver: Driver) -> None:
    driver.listen("n")
    texts = ["goodbye", "12-5", "", "deadbeefdeadbeefdeadbeef", "1700000000001"]
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        await visit.send(*(event("n", text) for text in texts), event("n", 1, offset(1)))
        await visit.send(event("n", "with ack", offset(2), packet_id=7))
        await driver.until_got("n", len(texts) + 2)
        visit.cut()
        assert (await server.visited(2)).auths["/"]["offset"] == offset(1)
    assert driver.got("n") == [*texts, 1, ("with ack", offset(2))]


async def test_a_server_without_recovery_is_served_as_by_a_stock_client(driver: Driver) -> None:
    driver.listen("connect", "n")
    async with scripted([*joined(None), *event("n", 1, offset(1))]) as server:
        await driver.connect(server.url, auth={"a": 1})
        await driver.until_got("n", 1)
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths["/"] == {"a": 1}
        await driver.until_got("n", 2)
    assert driver.got("n") == [(1, offset(1))] * 2
    assert driver.got("connect") == [FRESH, FRESH]


async def test_binary_events_lose_their_offset_too(driver: Driver) -> None:
    driver.listen("n")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        visit = await server.visited(1)
        head, *attachments = event("n", {"a": b"\x01", "b": [b"\x02"]}, offset(1))
        await visit.send([head, *attachments], event("n", 2, offset(2)))
        assert await driver.until_got("n", 2) == [{"a": b"\x01", "b": [b"\x02"]}, 2]
        await visit.send(event("n", b"\x03", offset(3))[:1])  # its attachment is lost with the connection
        visit.cut()
        again = await server.visited(2)
        assert again.auths["/"]["offset"] == offset(2)
        await again.send(event("n", b"\x03", offset(3)))
        await driver.until_got("n", 3)
    assert driver.got("n")[2] == b"\x03"


async def test_a_packet_that_cannot_be_read_is_left_out_and_said(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    driver.listen("n")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        await (await server.visited(1)).send(['42["n",'], event("n", 1))
        await driver.until_got("n", 1)
    events = [getattr(record, "event", None) for record in caplog.records]
    assert events.count("packet.unreadable") == 1


async def test_a_packet_class_of_the_application_is_built_upon(colour: str) -> None:
    class Shouting(Packet):
        def encode(self) -> Any:
            encoded = super().encode()
            return encoded.replace("token", "TOKEN") if isinstance(encoded, str) else encoded

    async with driving(colour, serializer=Shouting) as driver, scripted(joined()) as server:
        await driver.connect(server.url, auth={"token": 1})
        (await server.visited(1)).cut()
        assert (await server.visited(2)).auths["/"] == {"TOKEN": 1, "pid": PID}
    assert issubclass(driver.client.packet_class, Shouting)


def test_no_text_about_a_client_shows_a_pid(colour: str) -> None:
    driver = Driver(colour)
    driver.client.import_state(
        {"version": 1, "namespaces": {"/": {"pid": PID, "offset": None, "exact": True}}}
    )
    state = driver.client._recovery
    shown = [
        repr(driver.client),
        repr(state),
        repr(state.sessions()),
        repr(state.line("/")),
        str(vars(state)),
    ]
    assert not [text for text in shown if PID[:8] in text]


async def test_nothing_is_logged_that_opens_a_session(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "recovery")
    async with scripted(joined()) as server:
        await driver.connect(server.url)
        (await server.visited(1)).cut()
        await server.visited(2)
    assert PID[:8] not in caplog.text
