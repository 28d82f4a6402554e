"""A primary, its replicas, and the sentinels that watch them: real processes, which a test may break."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.faults.redis_process import RedisProcess
from tests.servers import program_of
from tests.waiting import wait_until

__all__ = ["SERVICE", "SentinelGroup", "SentinelProcess"]

SERVICE = "main"

PATIENCE = 90.0
"""Seconds for a failover: three usually, thirty more if a sentinel was not let run for two: TILT."""

_DOWN_AFTER_MS = 1500
_FAILOVER_TIMEOUT_MS = 5000
"""After twice this, sentinels that could not agree who leads try again."""


class SentinelProcess(RedisProcess):
    """One sentinel.

    Args:
        port: of the primary that it watches at first.
        quorum: how many must find that the primary is gone.
        settings: further lines of its configuration.
    """

    def __init__(
        self, kind: str, folder: Path, port: int, *, quorum: int, settings: Mapping[str, str]
    ) -> None:
        super().__init__(kind, folder)
        self._lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {folder}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} {quorum}",
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {_FAILOVER_TIMEOUT_MS}",
            *(f"{name} {value}" for name, value in settings.items()),
        ]

    def start(self) -> None:
        """Start it with what it knew; see `RedisProcess.start`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._file.exists():
            self._file.write_text("\n".join(self._lines))  # it writes there what it learns
        super().start()

    def tell(self) -> tuple[str, int]:
        """Where it says that the primary is."""
        told = self.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return told[0], int(told[1])

    def facts(self) -> dict[str, str]:
        """What it knows of the primary."""
        known: dict[str, str] = self.client.sentinel_master(SERVICE)
        return known

    @property
    def _file(self) -> Path:
        return self._folder / "sentinel.conf"

    def _command(self) -> list[str]:
        return [program_of(self.kind), str(self._file), "--sentinel"]


class SentinelGroup:
    """A primary with replicas, and sentinels that agree on them; use it in a ``with`` statement.

    Args:
        kind: of all processes, one of `tests.servers.SERVER_KINDS`.
        folder: for what they keep.
        options: further lines of the configuration of primary and replicas.
        settings: of the sentinels.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        replicas: int = 1,
        sentinels: int = 3,
        options: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.servers = [
            RedisProcess(kind, folder / f"server-{number}", keep=False, fsync="no", **dict(options or {}))
            for number in range(replicas + 1)
        ]
        quorum = sentinels // 2 + 1
        self.sentinels = [
            SentinelProcess(
                kind,
                folder / f"sentinel-{number}",
                self.servers[0].port,
                quorum=quorum,
                settings=settings or {},
            )
            for number in range(sentinels)
        ]

    @property
    def url(self) -> str:
        """How a user names it."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def primary(self) -> RedisProcess:
        """Where the sentinels that run say that the primary is, as soon as they agree."""

        def agreed() -> int:
            told = {each.tell()[1] for each in self.sentinels if each.running}
            return told.pop() if len(told) == 1 else 0

        return self._at(wait_until(agreed, what="the sentinels agree"))

    @property
    def replicas(self) -> list[RedisProcess]:
        """The others that run."""
        primary = self.primary
        return [each for each in self.servers if each.running and each is not primary]

    def __enter__(self) -> Self:
        try:
            for each in self.servers:
                each.start()
            for replica in self.servers[1:]:
                replica.replica_of(self.servers[0])
            for sentinel in self.sentinels:  # last: who is not there at first is found after 10 s
                sentinel.start()
            self.await_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def await_ready(self) -> None:
        """Wait until every sentinel that runs knows all replicas and sentinels that run."""
        running = [each for each in self.sentinels if each.running]
        replicas = sum(each.running for each in self.servers) - 1

        def knows(sentinel: SentinelProcess) -> bool:
            known = sentinel.facts()
            return (
                int(known["num-slaves"]) >= replicas
                and int(known["num-other-sentinels"]) >= len(running) - 1
                and known["flags"] == "master"
            )

        wait_for(lambda: all(knows(each) for each in running), "the sentinels know everybody")

    def await_failover(self, old: RedisProcess) -> RedisProcess:
        """Wait until all sentinels that run tell another primary; return it."""

        def moved() -> bool:
            told = {each.tell()[1] for each in self.sentinels if each.running}
            return len(told) == 1 and old.port not in told

        wait_for(moved, "another primary")
        return self.primary

    def await_replicated(self) -> None:
        """Wait until the replicas have all that the primary has."""

        def is_level() -> bool:
            offset = self.primary.client.info("replication")["master_repl_offset"]
            return all(
                each.client.info("replication")["slave_repl_offset"] >= offset for each in self.replicas
            )

        wait_for(is_level, "replicated")

    def hold_writes(self) -> None:
        """The primary takes nothing for half a minute, so that it has nothing that its replicas have not."""
        self.primary.client.execute_command("CLIENT", "PAUSE", 30_000, "WRITE")
        self.await_replicated()

    def leave_replicas_behind(self) -> None:
        """What the primary takes from now on is lost if it dies: sentinels would mend that after a minute."""
        for sentinel in self.sentinels:
            sentinel.client.execute_command("SENTINEL", "SET", SERVICE, "failover-timeout", 60_000)
        for replica in self.replicas:
            replica.become_lonely_replica()

    def fail_over(self) -> RedisProcess:
        """Have primary and replica change places although nothing is wrong; return the new primary.

        What the old one takes in the moment between the two is lost.
        """
        old = self.primary
        self.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        new = self.await_failover(old)
        old.replica_of(new)  # sentinels would see to that after ten seconds, and hang up on its clients
        return new

    def close(self) -> None:
        """End all processes."""
        for each in (*self.sentinels, *self.servers):
            each.close()

    def _at(self, port: int) -> RedisProcess:
        return next(each for each in self.servers if each.port == port)


def wait_for(predicate: object, what: str, *, seconds: float = PATIENCE) -> None:
    """Wait, in this thread, until something is so; errors of servers that are going or coming count as no."""
    assert callable(predicate)
    deadline = time.monotonic() + seconds
    while True:
        try:
            if predicate():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"{what}: not so within {seconds} s"
        time.sleep(0.02)
