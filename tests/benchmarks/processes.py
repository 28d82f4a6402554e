"""Processes under test: servers and emitters of each peer, which take commands as JSON lines."""

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.benchmarks.cores import cpu_seconds, memory_bytes, pin, server_core
from tests.e2e.npm import NODE_FOLDER, find_executable

__all__ = ["ASYNC_MEMORY", "ASYNC_REDIS", "NODE", "OURS", "OURS_SYNC", "OURS_TUNED", "SYNC_REDIS", "Peer"]

OURS, ASYNC_REDIS, ASYNC_MEMORY = "ours", "AsyncRedisManager", "AsyncManager"
OURS_TUNED = "ours, with all extras"
OURS_SYNC, SYNC_REDIS = "ours, threads", "RedisManager"
NODE = "Node"

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPTS = {OURS_SYNC: "tests.benchmarks.sync_server", SYNC_REDIS: "tests.benchmarks.sync_server"}
_STOP_SECONDS = 5.0


class Peer:
    """A process of one peer. Use it as ``with Peer(...) as peer``.

    Args:
        kind: one of the names above.
        store_url: of the Redis.
        options: for `tests.benchmarks.options`; Node's script knows the same.
    """

    def __init__(self, kind: str, store_url: str, **options: Any) -> None:
        self.kind = kind
        command = _command(kind)
        settings = json.dumps({"kind": kind, "url": store_url, **options})
        self._process = subprocess.Popen(
            [*command, settings],
            cwd=_ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
                "NODE_FOLDER": str(NODE_FOLDER),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        pin(server_core(), self._process.pid)
        self._lines = _Lines(self._process.stdout)
        self.port = 0

    def __enter__(self) -> Self:
        self.port = self._lines.next(timeout=30.0)["port"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """Of the operating system."""
        return self._process.pid

    def tell(self, do: str, **fields: Any) -> None:
        """Begin a command; `answer` waits for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, *, timeout: float = 120.0) -> Any:
        """Return what the command that was begun returns.

        Raises:
            RuntimeError: it failed, or the process has ended.
        """
        answer = self._lines.next(timeout=timeout)
        if "error" in answer:
            raise RuntimeError(f"{self.kind}: {answer['error']}")
        return answer["ok"]

    def ask(self, do: str, *, timeout: float = 120.0, **fields: Any) -> Any:
        """Carry out a command, and return its answer."""
        self.tell(do, **fields)
        return self.answer(timeout=timeout)

    def cpu(self) -> float:
        """Seconds of a core that it has used."""
        return cpu_seconds([self.pid])

    def memory(self) -> int:
        """Bytes in RAM."""
        return memory_bytes(self.pid)


class _Lines:
    """Lines of JSON out of a pipe, each within a time."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)

    def next(self, *, timeout: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if not self._selector.select(timeout):
                raise TimeoutError(f"no answer within {timeout} s")
            more = os.read(self._pipe.fileno(), 65536)
            if not more:
                raise RuntimeError("the process has ended")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value


def _command(kind: str) -> list[str]:
    if kind == NODE:
        return [find_executable("node"), str(Path(__file__).parent / "peer.cjs")]
    return [sys.executable, "-m", _SCRIPTS.get(kind, "tests.benchmarks.server")]
