"""The map of the slots, and what becomes of a round's requests: pure, without any server."""

from typing import Any

import pytest

from recovery.errors import StoreError, StoreUnavailableError
from recovery.records import Pid, ServerId
from recovery.stores.redis.endpoints import Node
from recovery.stores.redis.keys import Keys
from recovery.stores.redis.rounds import Call, Request, Script, ServerError
from recovery.stores.redis.routing import Parcel, Routed, route
from recovery.stores.redis.scripts import ScriptName
from recovery.stores.redis.slots import SlotMap, slot_of, slot_of_request

A, B, C = Node("a", 1), Node("b", 2), Node("c", 3)
HALF = 8192
ANSWER = [[0, HALF - 1, [b"a", 1, b"id-a"], [b"c", 3, b"id-c"]], [HALF, 16383, [b"b", 2, b"id-b"]]]
LOW, HIGH = "k2", "k1"  # in A's half, and in B's


def get(key: str) -> Call:
    return Call(("GET", key))


@pytest.fixture
def slots() -> SlotMap:
    """A map that is known."""
    made = SlotMap([A], home=0)
    made.take(ANSWER, A)
    return made


def run(
    requests: list[Request], slots: SlotMap, *replies: list[list[Any]]
) -> tuple[list[list[Parcel]], Routed]:
    """Route requests with these replies; return what was sent, and what came of it."""
    routing = route(requests, slots)
    sent = [next(routing)]
    for each in replies:
        try:
            sent.append(routing.send(each))
        except StopIteration as done:
            return sent, done.value
    raise AssertionError(f"it goes on with {sent[-1]}")


def test_the_keys_under_test_are_where_they_should_be() -> None:
    assert slot_of(LOW) < HALF <= slot_of(HIGH)


@pytest.mark.parametrize(
    ("request_", "slot"),
    [
        (Script(ScriptName.CLAIM, (LOW, HIGH), ()), slot_of(LOW)),
        (get(LOW), slot_of(LOW)),
        (Call(("XREAD", "COUNT", 1, "BLOCK", 5, "STREAMS", LOW, "0-0")), slot_of(LOW)),
        (Call(("SPUBLISH", LOW, b"x")), slot_of(LOW)),
        (Call(("PUBLISH", LOW, b"x")), None),
        (Call(("TIME",)), None),
    ],
)
def test_a_request_goes_where_its_first_key_is(request_: Request, slot: int | None) -> None:
    assert slot_of_request(request_) == slot


@pytest.mark.parametrize("names", [("socket.io", "sio:session:"), ("{app}-io", "{app}:s:"), ("a{b", "a{:")])
def test_all_keys_of_a_script_of_ours_are_in_one_slot(names: tuple[str, str]) -> None:
    keys, pid = Keys(*names), Pid("pid-0123456789")
    stream = {keys.stream, keys.epoch, keys.producer(ServerId("one")), keys.deadlines}
    assert len({slot_of(key) for key in stream}) == 1
    assert slot_of(keys.session(pid)) == slot_of(keys.claim(pid))


def test_requests_travel_side_by_side_and_in_order(slots: SlotMap) -> None:
    requests: list[Request] = [get(HIGH), get(LOW), Call(("TIME",)), get(HIGH)]
    sent, routed = run(requests, slots, [[b"1", b"4"], [b"2", b"3"]])
    assert sent == [[Parcel(B, [get(HIGH), get(HIGH)]), Parcel(A, [get(LOW), Call(("TIME",))])]]
    assert routed.replies == [b"1", b"2", b"3", b"4"]


def test_what_has_moved_is_sent_to_where_it_is_and_that_is_kept(slots: SlotMap) -> None:
    moved = ServerError(f"MOVED {slot_of(LOW)} c:3")
    sent, routed = run([get(LOW)], slots, [[moved]], [[b"1"]])
    assert sent[1] == [Parcel(C, [get(LOW)])]
    assert routed.replies == [b"1"]
    assert slots.owner(slot_of(LOW)) == C
    assert slots.stale
    assert slots.candidates()[0] == C, "who has a new slot knows more than others"


def test_a_redirection_without_a_host_is_to_the_same_host(slots: SlotMap) -> None:
    sent, _ = run([get(LOW)], slots, [[ServerError(f"MOVED {slot_of(LOW)} :9")]], [[b"1"]])
    assert sent[1] == [Parcel(Node("a", 9), [get(LOW)])]


def test_what_is_on_its_way_is_asked_for_and_nothing_is_kept_of_that(slots: SlotMap) -> None:
    ask = ServerError(f"ASK {slot_of(LOW)} c:3")
    sent, routed = run([get(LOW)], slots, [[ask]], [[b"1"]])
    assert sent[1] == [Parcel(C, [get(LOW)], asking=True)]
    assert slots.owner(slot_of(LOW)) == A
    assert not slots.stale
    assert routed.source == (0, C)


def test_the_source_is_another_one_when_the_slot_has_moved(slots: SlotMap) -> None:
    _, before = run([get(LOW)], slots, [[b"1"]])
    slots.moved(slot_of(HIGH), A)
    slots.take(ANSWER, A)
    assert run([get(LOW)], slots, [[b"1"]])[1].source == before.source, "another slot is of no interest"
    slots.moved(slot_of(LOW), C)
    slots.take(ANSWER, A)  # and back
    _, after = run([get(LOW)], slots, [[b"1"]])
    assert after.source != before.source


def test_nodes_that_send_one_in_circles_are_given_up(slots: SlotMap) -> None:
    circle = [[[ServerError(f"MOVED {slot_of(LOW)} {node}")]] for node in ("b:2", "a:1") * 3]
    sent, routed = run([get(LOW)], slots, *circle)
    assert len(sent) == 6
    [error] = routed.replies
    assert isinstance(error, StoreUnavailableError)
    assert error.maybe_applied is False


def test_a_node_gets_one_parcel_at_a_time(slots: SlotMap) -> None:
    """Two would travel on one connection at once: what is on its way to that node, and the rest."""
    ask, moved = ServerError(f"ASK {slot_of(LOW)} c:3"), ServerError(f"MOVED {slot_of(HIGH)} c:3")
    sent, routed = run([get(LOW), get(HIGH)], slots, [[ask], [moved]], [[b"1"]], [[b"2"]])
    assert sent[1:] == [[Parcel(C, [get(LOW)], asking=True)], [Parcel(C, [get(HIGH)])]]
    assert routed.replies == [b"1", b"2"]


def test_an_outage_of_one_node_fails_its_own_requests_only(slots: SlotMap) -> None:
    gone = StoreUnavailableError("gone", maybe_applied=True)
    _, routed = run([get(LOW), get(HIGH)], slots, [[gone], [b"2"]])
    assert routed.replies == [gone, b"2"]
    assert slots.stale
    assert slots.candidates()[-1] == A, "it is asked last"


def test_the_map_is_asked_for_first_and_of_the_next_node_if_one_is_silent() -> None:
    slots = SlotMap([A, B], home=0)
    gone = StoreUnavailableError("gone", maybe_applied=False)
    sent, routed = run([get(LOW)], slots, [[gone]], [[ANSWER]], [[b"1"]])
    ask = Call(("CLUSTER", "SLOTS"))
    assert sent == [[Parcel(A, [ask])], [Parcel(B, [ask])], [Parcel(A, [get(LOW)])]]
    assert routed.replies == [b"1"]
    assert slots.nodes == (A, C, B)


def test_an_old_map_will_do_while_nobody_tells_a_new_one(slots: SlotMap) -> None:
    slots.stale = True
    gone = StoreUnavailableError("gone", maybe_applied=False)
    _, routed = run([get(HIGH)], slots, [[gone]], [[gone]], [[gone]], [[b"1"]])
    assert routed.replies == [b"1"]
    assert slots.stale


def test_a_node_that_has_gone_is_forgotten(slots: SlotMap) -> None:
    slots.doubt(C)
    slots.take(ANSWER[1:], B)
    assert slots.candidates() == [B, A], "what was configured is kept"


def test_a_slot_that_nobody_has_is_an_outage(slots: SlotMap) -> None:
    slots.take(ANSWER[1:], B)
    with pytest.raises(StopIteration) as done:
        next(route([get(LOW)], slots))
    [error] = done.value.value.replies
    assert isinstance(error, StoreUnavailableError)
    assert slots.stale


def test_a_reader_is_told_at_once_that_its_slot_has_moved(slots: SlotMap) -> None:
    moved = ServerError(f"MOVED {slot_of(LOW)} c:3")
    routing = route([get(LOW)], slots, follow=False)
    next(routing)
    with pytest.raises(StopIteration) as done:
        routing.send([[moved]])
    [error] = done.value.value.replies
    assert isinstance(error, StoreUnavailableError)
    assert slots.owner(slot_of(LOW)) == C


@pytest.mark.parametrize("answer", [[], [[0]], [[b"x", 1, [b"a", 1]]], 7, [[0, 1, [3, 4]]]])
def test_a_map_that_makes_no_sense_is_said_and_asked_for_elsewhere(answer: Any) -> None:
    slots = SlotMap([A], home=0)
    with pytest.raises(StoreError):
        slots.take(answer, A)
    assert slots.stale


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_a_node_without_a_name_is_where_the_answer_came_from(slots: SlotMap, host: bytes | None) -> None:
    slots.take([[0, 16383, [host, 7]]], C)
    assert slots.owners() == [Node("c", 7)]
