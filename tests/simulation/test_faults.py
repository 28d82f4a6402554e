"""Each fault of the simulation does what it says."""

from collections.abc import Iterator

import pytest

from recovery.errors import PublishError, SaveError
from recovery.testing.checker import check
from recovery.testing.clients import SimulatedClient
from recovery.testing.cluster import SimulatedCluster
from recovery.testing.storage import Fate

_PING = {"ping_interval": 5.0, "ping_timeout": 4.0}


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    """Two servers; what happened must keep the promise, and nobody may have failed."""
    with SimulatedCluster(servers=2, seed=1, server_options=_PING) as opened:
        yield opened
        assert check(opened.history) == []
        assert opened.loop.errors == []


@pytest.fixture
def anna(cluster: SimulatedCluster) -> SimulatedClient:
    client = cluster.client("anna")
    assert cluster.connect(client, "s1")
    return client


def _got(client: SimulatedClient) -> list[str]:
    return [args[1] for args in client.received]


def _sockets(cluster: SimulatedCluster, server: str) -> int:
    return len(cluster.servers[server].sio.eio.sockets)


# ---------------------------------------------------------------------- connections


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_loss_that_is_told_is_known_to_the_server_at_once(
    cluster: SimulatedCluster, anna: SimulatedClient, how: str
) -> None:
    cluster.drop(anna, "close" if how == "close" else "reset")
    cluster.advance(0.1)

    assert not anna.connected
    assert _sockets(cluster, "s1") == 0


def test_a_silent_loss_is_noticed_by_ping_timeout_only(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.drop(anna, "silent")
    cluster.advance(4)
    assert _sockets(cluster, "s1") == 1

    cluster.advance(15)
    assert _sockets(cluster, "s1") == 0


def test_a_deaf_client_notices_by_itself(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.drop(anna, "deaf")
    lost = cluster.emit("s1")
    cluster.advance(5)
    assert anna.connected
    assert lost not in _got(anna)

    cluster.advance(10)
    assert not anna.connected, "no PING came for 9 s"


def test_a_mute_client_still_hears(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.drop(anna, "mute")
    heard = cluster.emit("s1")
    cluster.advance(0.1)
    assert _got(anna) == [heard]

    cluster.advance(15)
    assert _sockets(cluster, "s1") == 0, "its PONGs are lost"


def test_a_client_that_stops_reading_gets_it_later(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.stop_reading(anna, 2.0)
    name = cluster.emit("s2")
    cluster.advance(1.5)
    assert _got(anna) == []

    cluster.advance(1)
    assert _got(anna) == [name]


# ---------------------------------------------------------------------- servers


def test_a_frozen_server_delivers_nothing_until_it_goes_on(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.freeze("s1", 2.0)
    name = cluster.emit("s2")
    cluster.advance(1.5)
    assert _got(anna) == []
    assert anna.connected, "nobody tells the client"

    cluster.advance(1)
    assert _got(anna) == [name]


def test_a_frozen_server_keeps_who_comes_waiting(cluster: SimulatedCluster) -> None:
    ben = cluster.client("ben")
    cluster.freeze("s1", 2.0)
    cluster.dial(ben, "s1")
    cluster.advance(1.5)
    assert not ben.connected

    cluster.advance(1)
    assert ben.connected


def test_a_killed_server_runs_no_handler_and_its_sessions_are_recovered(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.crash("s1")
    missed = cluster.emit("s2")
    cluster.advance(0.1)
    assert not anna.connected, "the operating system closes the connection"

    assert cluster.connect(anna, "s2")
    cluster.settle()
    assert anna.outcomes == ["fresh", "recovered"]
    assert missed in _got(anna)


def test_a_machine_that_is_gone_tells_nobody(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.crash("s1", silent=True)
    cluster.advance(5)
    assert anna.connected

    cluster.advance(10)
    assert not anna.connected


def test_a_killed_server_refuses_until_it_is_restarted(cluster: SimulatedCluster) -> None:
    ben = cluster.client("ben")
    cluster.crash("s1")
    assert not cluster.connect(ben, "s1", patience=5.0)

    cluster.restart("s1")
    assert cluster.connect(ben, "s1")


def test_a_jump_of_a_servers_clock_does_not_matter(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    for jump in (3600, -7200):
        cluster.jump_clock("s2", jump)
        cluster.drop(anna, "silent")
        missed = cluster.emit("s2")
        assert cluster.connect(anna, "s2")
        cluster.settle()
        assert missed in _got(anna)

    assert anna.outcomes == ["fresh", "recovered", "recovered"]


# ---------------------------------------------------------------------- the store


def test_a_store_that_stands_still_carries_out_later_what_it_got(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.stall_store(2.0)
    name = cluster.emit("s1", wait=False)
    cluster.advance(1.5)
    assert _got(anna) == []

    cluster.advance(1)
    assert _got(anna) == [name]


def test_a_server_that_gets_no_answer_says_that_the_packet_may_be_stored(cluster: SimulatedCluster) -> None:
    cluster.advance(0.1)
    cluster.partition("s1")
    cluster.emit("s1")

    error = cluster.operations[-1].error
    assert isinstance(error, PublishError)


def test_a_server_that_is_refused_says_that_the_packet_is_not_stored(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.partition("s1", refused=True)
    name = cluster.emit("s1")

    error = cluster.operations[-1].error
    assert isinstance(error, PublishError)
    assert not error.maybe_stored
    cluster.heal()
    cluster.settle()
    assert name not in _got(anna)


def test_a_lost_reply_stores_the_packet_once(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.fail_commands("s1", [Fate.REPLY_LOST])
    name = cluster.emit("s1")
    cluster.settle()

    assert cluster.operations[0].error is None
    assert _got(anna).count(name) == 1


def test_a_change_of_rooms_that_is_not_durable_raises(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.partition("s1", refused=True)

    operation = cluster.enter_room("s1", anna, "red")

    assert isinstance(operation.error, SaveError)


def test_a_reader_that_lags_delivers_later(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    cluster.lag("s1", 1.0)
    name = cluster.emit("s2")
    cluster.advance(0.5)
    assert _got(anna) == []

    cluster.advance(1)
    assert _got(anna) == [name]


def test_a_trim_behind_a_client_that_is_away_is_told(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.drop(anna, "close")
    cluster.emit("s2")
    cluster.emit("s2")
    cluster.advance(0.1)
    cluster.trim(0.0)
    cluster.restart("s2")  # a server that has nothing of it in memory

    assert cluster.connect(anna, "s2")

    assert anna.outcomes == ["fresh", "fresh"]
    assert cluster.recorder.attempts[-1].reason == "offset-trimmed"


def test_a_failover_loses_what_the_replica_never_got(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    kept = cluster.emit("s2")
    cluster.advance(0.1)
    cluster.stop_replication()
    before = cluster.store.state.last
    cluster.emit("s2")
    assert cluster.store.state.last > before

    cluster.fail_over(1.0)

    assert cluster.store.state.last <= before
    assert kept in _got(anna)


def test_what_is_under_way_to_a_primary_does_not_reach_the_next_one(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.emit("s2")
    cluster.stop_replication()
    before = cluster.store.state.last
    cluster.emit("s2", wait=False)
    cluster.advance(0.00005)  # a command travels longer

    cluster.fail_over(1.0)
    cluster.advance(0.9)
    assert cluster.store.state.last == before, "nobody has a connection yet"
    cluster.settle()

    assert cluster.store.state.last > before
    assert len(set(_got(anna))) == len(_got(anna))


def test_the_clock_of_the_store_may_go_back(cluster: SimulatedCluster, anna: SimulatedClient) -> None:
    first = cluster.emit("s1")
    cluster.jump_clock(None, -600)
    second = cluster.emit("s1")
    cluster.drop(anna)
    third = cluster.emit("s1")
    cluster.connect(anna, "s2")
    cluster.settle()

    assert _got(anna)[:3] == [first, second, third]


def test_who_comes_while_the_others_wait_for_the_last_packets_has_had_no_time_for_them(
    cluster: SimulatedCluster, anna: SimulatedClient
) -> None:
    cluster.freeze("s1", 1.0)
    cluster.dial(cluster.client("ben"), "s2")

    assert not cluster.settle()
    assert cluster.history.settled == {anna.name}
    assert cluster.settle()
    assert cluster.history.settled == {anna.name, "ben"}
