"""A Redis or Valkey server that a test may stop, kill, freeze, fill and restart with its data.

It listens on a port of the loopback that stays the same over restarts, and keeps its data in an append-only
file in a folder of the test's.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import free_port
from tests.servers import program_of

__all__ = ["Fsync", "RedisProcess"]

Fsync = Literal["always", "everysec", "no"]

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0

# The server takes the shell's place and process id. What reads the pipe ends the whole group when this
# process is gone, however it went; SIGKILL also ends a server that is frozen.
_LAUNCHER = """
exec 3<&0
{ while read -r _; do :; done; kill -KILL 0; } <&3 3<&- >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


class RedisProcess:
    """One server. You must `start` it, and `close` it at the end, or use it in a ``with`` statement.

    All methods block, for a fraction of a second at most while nothing is wrong.

    Args:
        kind: one of `tests.servers.SERVER_KINDS`, "valkey", "redis62", "redis70".
        folder: for its data and its log; made if missing.
        keep: whether it keeps its data in an append-only file.
        fsync: when the file is written to the disk.
        **options: further lines of its configuration, with underscores for hyphens.
    """

    def __init__(
        self, kind: str, folder: Path, *, keep: bool = True, fsync: Fsync = "everysec", **options: str
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self._folder = folder
        self._options = {
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if keep else "no",
            "appendfsync": fsync,
            "daemonize": "no",
            "repl-diskless-sync-delay": "0",  # s; by default a replica waits 5 s for company
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self.frozen = False
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, now or when it is started again."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """Process id of the server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def client(self) -> Any:  # redis-py's types are those of both colours at once
        """A client of the test's own, which no proxy is in the way of."""
        if self._client is None:
            self._client = redis.Redis(
                port=self.port,
                decode_responses=True,
                socket_timeout=_START_SECONDS,
                retry=Retry(NoBackoff(), 1),  # the connection of before a restart is gone
            )
        return self._client

    def start(self) -> None:
        """Start it with the data that it left, and wait until it answers.

        Raises:
            RuntimeError: it did not; its log is in the message.
        """
        assert not self.running, "the server runs already"
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self.frozen = False
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCHER, "redis", *self._command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, for the launcher
            )
        self._await_answer()

    def stop(self) -> None:
        """End it politely (SIGTERM): it writes its data first. Harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again, with its data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, the kernel takes bytes for it, and nothing is answered."""
        os.kill(self.process_id, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.process_id, signal.SIGCONT)
        self.frozen = False

    def close(self) -> None:
        """End it for good."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self.kill()

    def config_set(self, name: str, value: str) -> None:
        """CONFIG SET; lost at a restart."""
        self.client.config_set(name, value)

    def replica_of(self, primary: "RedisProcess | None") -> None:
        """Become a replica of another server, or a primary again; return when the link stands.

        Raises:
            RuntimeError: the link does not stand in time.
        """
        if primary is None:
            self.client.execute_command("REPLICAOF", "NO", "ONE")
            return
        self.client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        self._await(lambda: self.client.info("replication")["master_link_status"] == "up", "replicated")

    def become_lonely_replica(self) -> None:
        """Become a replica of nobody: read-only, as after a failover that others do not know of yet."""
        self.client.execute_command("REPLICAOF", "127.0.0.1", 1)

    def log(self) -> str:
        """Return what it wrote to its log so far."""
        return (self._folder / "log").read_text(errors="replace")

    def _command(self) -> list[str]:
        """The words of its command line."""
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        return [program_of(self.kind), "--port", str(self.port), *options]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:  # it is frozen, or its disk is
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def _await_answer(self) -> None:
        def answers() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.kind} did not start: {self.log()[-500:]}")
            with contextlib.suppress(redis.RedisError):
                return bool(self.client.ping())  # an error while it reads its data
            return False

        self._await(answers, "answered")

    def _await(self, predicate: Any, what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not predicate():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} has not {what} in time: {self.log()[-500:]}")
            time.sleep(0.005)
