"""A Redis of the benchmarks' own, on the load's core, without a disk; all peers share it, one by one."""

import subprocess
import time
from types import TracebackType
from typing import Any, Self

import redis

from tests.benchmarks.cores import others_core, pin
from tests.ports import free_port
from tests.waiting import wait_until

__all__ = ["Store"]

_STOP_SECONDS = 5.0


class Store:
    """A running server. Use it as ``with Store() as store``."""

    def __init__(self, program: str = "redis-server") -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pin(others_core(), self._process.pid)
        self.client = redis.Redis(port=self.port)

    def __enter__(self) -> Self:
        wait_until(self._answers, what="Redis")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)

    @property
    def url(self) -> str:
        """For all peers."""
        return f"redis://127.0.0.1:{self.port}"

    def info(self, name: str) -> Any:
        """One value of INFO."""
        everything: Any = self.client.info()
        return everything[name]

    def empty(self) -> None:
        """Forget what an earlier trial has left."""
        self.client.flushall()

    def wait_for_entries(self, count: int, stream: str = "socket.io", *, timeout: float = 60.0) -> None:
        """Wait until the stream has so many entries, the first one that a server puts there among them."""
        end = time.monotonic() + timeout
        while int(self.client.xlen(stream)) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{stream} did not get {count} entries within {timeout} s")
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False
