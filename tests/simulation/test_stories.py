"""What the promise is about, in virtual time: hours of silence, silent deaths, rolling restarts."""

import pytest

from recovery.testing.checker import check
from recovery.testing.cluster import SimulatedCluster
from recovery.testing.plans import Plan, run
from recovery.testing.steps import Come, Emit, Lose, Wait


def _passes(cluster: SimulatedCluster) -> None:
    assert cluster.settle()
    assert check(cluster.history) == []
    assert cluster.recorder.wrong == []
    assert cluster.loop.errors == []


def test_a_client_idle_for_an_hour_recovers_with_everything_trimmed_behind_it() -> None:
    with SimulatedCluster(servers=2, seed=2, max_disconnection_duration=60.0, block_time=2.0) as cluster:
        anna, ben = cluster.client("anna"), cluster.client("ben")
        cluster.connect(anna, "s1")
        cluster.connect(ben, "s2")
        for _ in range(60):
            cluster.emit("s2", ben)  # nothing of it is for anna
            cluster.advance(60)
        cluster.trim(120.0)

        cluster.drop(anna, "silent")
        missed = cluster.emit("s1", anna)
        cluster.connect(anna, "s2")

        _passes(cluster)
        assert anna.outcomes == ["fresh", "recovered"]
        assert [args[1] for args in anna.received][:1] == [missed]


def test_packets_that_are_queued_into_a_dead_socket_for_45_seconds_are_not_lost() -> None:
    with SimulatedCluster(servers=2, seed=3) as cluster:  # default ping times: 25 s and 20 s
        anna = cluster.client("anna")
        cluster.connect(anna, "s1")
        cluster.drop(anna, "deaf")
        emitted = []
        for _ in range(45):
            emitted.append(cluster.emit("s1"))
            cluster.advance(1)
        cluster.advance(1)
        assert not anna.connected

        cluster.connect(anna, "s2")

        _passes(cluster)
        assert anna.outcomes == ["fresh", "recovered"]
        assert [args[1] for args in anna.received][:45] == emitted


@pytest.mark.parametrize("seed", range(3))
def test_a_rolling_restart_under_traffic_loses_nothing(seed: int) -> None:
    with SimulatedCluster(servers=3, seed=seed) as cluster:
        clients = [cluster.client(f"client {number}", returns=True) for number in range(5)]
        for number, client in enumerate(clients):
            cluster.connect(client, f"s{1 + number % 3}")
        for server in ("s1", "s2", "s3"):
            cluster.roll(server, 0.5)
            for _ in range(20):
                for origin in cluster.servers.values():
                    if origin.is_alive and not origin.leaving:
                        cluster.emit(origin.name, wait=False)
                cluster.advance(0.1)
        cluster.reunite()

        _passes(cluster)
        assert {outcome for client in clients for outcome in client.outcomes[1:]} == {"recovered"}
        assert sum(len(client.outcomes) for client in clients) > 2 * len(clients)


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.04, 1.0])
@pytest.mark.parametrize("cut_after", [0.0, 0.002, 0.04])
def test_a_reconnection_that_is_cut_can_be_tried_again(delay: float, cut_after: float) -> None:
    plan = Plan(
        seed=4,
        servers=2,
        clients=("anna",),
        steps=(
            Come("anna", "s1"),
            Wait(0.1),
            Lose("anna", "silent"),
            Emit("s2", count=3),
            Come("anna", "s2", delay=delay),
            Wait(cut_after),
            Lose("anna", "reset"),
            Emit("s1", count=3),
            Come("anna", "s1"),
        ),
    )

    outcome = run(plan)

    assert outcome.problems == []
    assert outcome.refusals.total() == 0
    assert outcome.recoveries >= 1


def test_of_two_who_present_one_pid_one_recovers() -> None:
    with SimulatedCluster(servers=2, seed=5) as cluster:
        anna, thief = cluster.client("anna"), cluster.client("thief")
        cluster.connect(anna, "s1")
        cluster.drop(anna, "close")
        thief.pid = anna.pid
        cluster.dial(anna, "s1")
        cluster.dial(thief, "s2")
        cluster.advance(10)

        outcomes = [client.outcomes[-1] for client in (anna, thief) if client.connected]
        assert outcomes.count("recovered") == 1
