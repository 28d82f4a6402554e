"""Bridges as processes, by the very command that a page of the documentation shows."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT
from tests.waiting import async_wait_until

__all__ = ["BridgeProcess"]

# The command ends with the tests, as far as the system knows of that.
_LAUNCHER = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
sys.argv[0] = "socketio-recovery"
from adapter.cli import main
main()
"""
_BEGUN = "goes on after"


class BridgeProcess:
    """``socketio-recovery bridge`` with some options. You must call `kill` at the end.

    Args:
        folder: for what it prints.
        options: of the command, its name left out.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self._log = folder / f"bridge-{id(self)}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and do not wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, "bridge", *self._options],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def begun(self, ways: int = 1) -> None:
        """Wait until it has begun in each direction, as often as it was started."""

        async def has_begun() -> bool:
            assert self._process is not None, "it was started"
            assert self._process.poll() is None, self.output()
            return self.output().count(_BEGUN) >= ways

        await async_wait_until(has_begun, timeout=60.0, what="the bridge begins")

    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL; harmless when it does not run."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._process is not None:
            self._process.wait()

    def terminate(self) -> int:
        """SIGTERM, and wait; returns its exit status."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        assert self._process is not None, "it was started"
        return self._process.wait(60)
