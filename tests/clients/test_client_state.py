"""What a recovering client knows: its laws, one by one, without a network."""

import threading
from typing import Any

import pytest
from socketio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet

from adapter.client_state import Arrival, ClientRecovery, ClientState, Job, Session
from tests.clients.scripted import PID, offset

NOW = 1.7e9


def opened(*namespaces: str) -> ClientState:
    state = ClientState(Packet, clock=lambda: NOW)
    state.open(namespaces or ["/"])
    return state


def connect(state: ClientState, pid: str | None = PID, namespace: str = "/", **more: Any) -> Arrival:
    data = {"sid": "s", **({} if pid is None else {"pid": pid}), **more}
    return state.arrive(Packet(CONNECT, data=data, namespace=namespace))


def event(
    state: ClientState, *data: Any, namespace: str | None = None, packet_id: int | None = None
) -> Arrival:
    return state.arrive(Packet(EVENT, data=list(data), namespace=namespace, id=packet_id))


def begun(state: ClientState, namespace: str = "/") -> list[Any]:
    """Run all jobs; the data of their packets."""
    jobs: list[Job] = []
    while (job := state.next_job(namespace)) is not None:
        jobs.append(job)
    return [job.packet.data for job in jobs]


def test_the_first_packet_of_an_idle_line_asks_for_somebody_to_run_it() -> None:
    state = opened()
    assert connect(state) is Arrival.RUN_LINE
    assert event(state, "n", 1) is Arrival.NOTHING
    assert begun(state) == [["connect"], ["n", 1]]
    assert event(state, "n", 2) is Arrival.RUN_LINE


def test_early_packets_wait_for_connect_and_come_after_it() -> None:
    state = opened()
    assert event(state, "n", 1, offset(1)) is Arrival.NOTHING
    assert event(state, "q", packet_id=1) is Arrival.NOTHING
    assert connect(state) is Arrival.RUN_LINE
    assert begun(state) == [["connect"], ["n", 1], ["q"]]
    assert state.complete("/", {}) == {"pid": PID, "offset": offset(1)}


def test_a_connect_handler_that_ends_its_connection_has_greeted_nobody() -> None:
    """connect() must not succeed or fail by whether it looks before that handler returns, or after."""
    state = opened()
    connect(state)
    assert state.next_job("/") is not None
    state.close()
    assert state.next_job("/") is None
    assert state.missing(greeted=True) == ["/"]


def test_early_packets_of_a_broken_connection_are_forgotten() -> None:
    state = opened()
    connect(state)
    state.close()
    state.open(["/"])
    event(state, "n", 1, offset(1))
    state.close()
    state.open(["/"])
    assert state.complete("/", None) == {"pid": PID}
    connect(state)
    assert begun(state) == [["connect"], ["connect"]]


def test_an_offset_is_presented_from_arrival_and_exported_from_the_handlers_begin() -> None:
    state = opened()
    connect(state)
    event(state, "n", 1, offset(1))
    event(state, "n", 2, offset(2))
    assert state.complete("/", None) == {"pid": PID, "offset": offset(2)}
    assert state.sessions() == {}
    state.next_job("/")
    assert state.sessions() == {"/": Session(PID, exact=True)}
    state.next_job("/")
    assert state.sessions() == {"/": Session(PID, offset(1), exact=True)}


def test_where_nothing_can_come_any_more_the_offset_is_all_there_is() -> None:
    state = opened()
    connect(state)
    event(state, "n", 1, offset(1))
    begun(state)
    state.close()
    assert state.sessions() == {
        "/": Session(PID, offset(1), exact=True)
    }  # it may be back before it is killed
    state.unwant()
    state.leave()
    assert state.sessions() == {"/": Session(PID, offset(1))}
    state.begin()
    assert state.sessions() == {"/": Session(PID, offset(1), exact=True)}


def test_an_exact_offset_is_presented_as_such_until_connect() -> None:
    state = ClientState(Packet)
    state.restore({"/": Session(PID, offset(1), exact=True)})
    assert state.sessions() == {"/": Session(PID, offset(1), exact=True)}
    for _ in range(2):
        state.open(["/"])
        assert state.complete("/", None) == {"pid": PID, "offset": offset(1), "offset_exact": True}
        state.close()
    state.open(["/"])
    connect(state)
    assert state.complete("/", None) == {"pid": PID, "offset": offset(1)}


def test_a_session_is_exported_until_its_end_was_told() -> None:
    state = opened()
    connect(state)
    event(state, "n", 1, offset(1))
    begun(state)
    state.open(["/"])
    connect(state, "q" * 20)
    assert state.complete("/", None) == {"pid": "q" * 20}
    assert state.sessions() == {"/": Session(PID, offset(1), exact=True)}
    begun(state)
    assert state.sessions() == {"/": Session("q" * 20, exact=True)}


def test_recovery_is_what_the_connect_handler_is_told() -> None:
    state = opened()
    connect(state)
    begun(state)
    state.open(["/"])
    connect(state)
    assert state.recovery("/") == ClientRecovery()
    begun(state)
    assert state.recovery("/") == ClientRecovery(recovered=True)
    state.open(["/"])
    connect(state, "q" * 20, reason="session-expired")
    begun(state)
    assert state.recovery("/") == ClientRecovery(reason="session-expired")
    assert state.recovery("/other") == ClientRecovery()


@pytest.mark.parametrize("data", [None, "text", {}, {"pid": 7}, {"sid": "s", "pid": None}])
def test_connects_without_a_pid_give_no_session(data: Any) -> None:
    state = opened()
    assert state.arrive(Packet(CONNECT, data=data, namespace="/")) is Arrival.RUN_LINE
    event(state, "n", offset(1))
    assert state.complete("/", {"a": 1}) == {"a": 1}
    assert begun(state) == [["connect"], ["n", offset(1)]]


def test_a_connect_for_a_namespace_that_was_not_asked_for_is_ignored() -> None:
    state = opened("/")
    assert connect(state, namespace="/b") is Arrival.NOTHING
    assert not state.is_joined("/b")


def test_missing_and_refused() -> None:
    state = opened("/", "/b")
    assert state.missing(greeted=False) == ["/", "/b"]
    connect(state)
    assert state.missing(greeted=False) == ["/b"]
    assert state.missing(greeted=True) == ["/", "/b"]
    begun(state)
    assert state.missing(greeted=True) == ["/b"]
    assert state.arrive(Packet(CONNECT_ERROR, data={}, namespace="/b")) is Arrival.RUN_NOW
    assert state.refused() == []
    state.note_refusal("/b")
    assert state.refused() == ["/b"]
    state.open(["/", "/b"])
    assert (state.missing(greeted=False), state.refused()) == (["/", "/b"], [])


def test_a_connect_handler_of_an_old_connection_greets_no_new_one() -> None:
    state = opened()
    connect(state)
    state.next_job("/")
    state.open(["/"])
    connect(state)
    state.next_job("/")
    assert state.missing(greeted=True) == ["/"]
    state.next_job("/")
    assert state.missing(greeted=True) == []


def test_after_the_end_nothing_begins_and_nothing_is_presented() -> None:
    state = opened()
    connect(state)
    event(state, "n", 1, offset(1))
    state.end()
    assert event(state, "n", 2, offset(2)) is Arrival.NOTHING
    assert state.arrive(Packet(DISCONNECT, namespace="/")) is Arrival.NOTHING
    assert begun(state) == []
    assert (state.sessions(), state.complete("/", {"a": 1})) == ({}, {"a": 1})
    state.open(["/"])  # by a reconnection that was under way
    assert connect(state) is Arrival.NOTHING
    state.begin()
    state.open(["/"])
    assert connect(state) is Arrival.RUN_LINE
    assert begun(state) == [["connect"]]


def test_acknowledgements_never_wait() -> None:
    state = opened()
    connect(state)
    assert state.arrive(Packet(ACK, data=[], namespace="/", id=1)) is Arrival.RUN_NOW


def test_while_a_handler_calls_questions_go_ahead() -> None:
    state = opened()
    connect(state)
    begun(state)
    event(state, "ask")
    state.next_job("/")
    event(state, "q", 1, packet_id=1)
    event(state, "n", 2)
    line = state.line("/")
    assert [job.packet.data for job in state.begin_call(line)] == [["q", 1]]
    assert event(state, "q", 3, packet_id=3) is Arrival.RUN_NOW
    state.end_call(line)
    assert event(state, "q", 4, packet_id=4) is Arrival.NOTHING
    assert begun(state) == [["n", 2], ["q", 4]]


def test_a_restored_session_is_presented_and_exported() -> None:
    state = ClientState(Packet)
    state.restore({"/": Session(PID, offset(1))})
    state.open(["/"])
    assert state.complete("/", None) == {"pid": PID, "offset": offset(1)}
    connect(state)
    begun(state)
    assert state.recovery("/").recovered
    state.unwant()
    state.leave()
    assert state.sessions() == {"/": Session(PID, offset(1))}


def test_the_application_keeps_its_own_dict() -> None:
    state = opened()
    connect(state)
    auth = {"token": 1}
    assert state.complete("/", auth) == {"token": 1, "pid": PID}
    assert auth == {"token": 1}


def test_only_one_thread_is_asked_to_run_a_line() -> None:
    state = opened()
    connect(state)
    begun(state)
    asked: list[Arrival] = []
    barrier = threading.Barrier(8)

    def bring() -> None:
        barrier.wait(10)
        asked.extend(event(state, "n", number) for number in range(50))

    threads = [threading.Thread(target=bring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert asked.count(Arrival.RUN_LINE) == 1
    assert len(begun(state)) == 400


def test_a_signal_handler_may_close_the_transport_in_the_middle_of_anything() -> None:
    """At Ctrl-C python-engineio disconnects within the handler, in a thread that may be in here."""

    def interrupted() -> float:
        state.close()
        return NOW

    state = ClientState(Packet, clock=interrupted)
    state.open(["/"])
    connect(state)
    taking = threading.Thread(target=event, args=(state, "n", offset(1)), daemon=True)
    taking.start()
    taking.join(10)
    assert not taking.is_alive()
    assert state.closed
