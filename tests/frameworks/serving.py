"""Applications of the documentation, served by the very commands that their pages show.

A `Site` is a folder with a page's files; each `Process` of it is one command of the page, in a process group
of its own, on a port of its own. On the pages a store is ``redis://localhost:6379`` and a port is 8000; here
these stand for the test's store and for a port that is free.
"""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.docs.pages import ROOT
from tests.ports import free_port
from tests.waiting import async_wait_until

__all__ = ["EXAMPLES", "Process", "Site"]

EXAMPLES = ROOT / "docs" / "examples" / "servers"
_STORE_ON_PAGES = "redis://localhost:6379"
_PORT_ON_PAGES = "8000"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
# Runs a command such that it does not outlive the tests, as far as the system knows of that.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""
_COMPLAINT = re.compile(r"Traceback|Warning: (?!Enable)|never awaited|was destroyed|never retrieved|CRITICAL")


class Process:
    """One command of a page, running. You must call `start` first and `kill` at the end.

    Attributes:
        url: where clients connect to.
        port: of that.
    """

    def __init__(self, folder: Path, command: str, *, port: int, python: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._folder = folder
        self._settings, words = _settings(command.replace(_PORT_ON_PAGES, str(port)))
        self._command = _program(words, python)
        self._output = tempfile.NamedTemporaryFile(prefix="site-", suffix=".log")  # noqa: SIM115 - until kill
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that the command is; it may have children."""
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self, *, serves: bool = True) -> None:
        """Run the command, and wait until Socket.IO answers, if it serves that."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(self._folder)]),
            "PYTHONWARNINGS": "default::RuntimeWarning,default::ResourceWarning",
            "PYTHONUNBUFFERED": "1",
            **self._settings,
            "GUNICORN_CMD_ARGS": "--no-control-socket",  # or all share one, in the user's home
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *self._command],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if serves:
            await async_wait_until(self._answers, timeout=_START_SECONDS, what=f"{self._command} answers")

    async def _answers(self) -> bool:
        """Whether Socket.IO refuses what is no request of its protocol: only a server that is ready does."""
        assert self._process is not None, "it was started"
        assert self._process.poll() is None, f"{self._command} ended:\n{self.output()}"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            address = f"{self.url}/socket.io/?EIO=3&transport=polling"
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(address) as answer,
            ):
                return answer.status == 400
        return False

    def output(self) -> str:
        """What it has printed so far."""
        return Path(self._output.name).read_text(errors="replace")

    def complaints(self) -> list[str]:
        """Lines that a process which has nothing to complain of does not print."""
        return [line for line in self.output().splitlines() if _COMPLAINT.search(line)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command's own process."""
        os.kill(self.pid, number)

    async def terminate(self) -> int:
        """SIGTERM: ask it to end, and wait for that; return its exit status, negative for a signal."""
        self.signal(signal.SIGTERM)
        assert self._process is not None, "it was started"
        async with asyncio.timeout(_STOP_SECONDS):
            return await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End it and its children, in whatever state they are."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()


class Site:
    """The files of an application, and the processes that serve it, each in a folder of its own.

    Args:
        folder: an empty one.
        store_url: what the pages' store stands for.
        elsewhere: returns the Python of an environment with frameworks that are not installed here.
    """

    def __init__(self, folder: Path, store_url: str, *, elsewhere: Callable[[], Path]) -> None:
        self.processes: list[Process] = []
        self._elsewhere = elsewhere
        self._python = Path(sys.executable)
        self._folder = folder
        self._files = folder / "files"
        self._store_url = store_url

    def go_elsewhere(self) -> None:
        """Run all commands from now on in the environment with the frameworks that are not installed here."""
        self._python = self._elsewhere()

    def add(self, *names: str) -> None:
        """Take over files of the examples."""
        for name in names:
            self.write(name, (EXAMPLES / name).read_text(encoding="utf-8"))

    def write(self, name: str, text: str) -> None:
        """Put a file among the others."""
        path = self._files / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text.replace(_STORE_ON_PAGES, self._store_url), encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file, for a test of what happens without what is on the page."""
        path = self._files / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, command: str) -> None:
        """Run a command among the files, until it ends."""
        self._files.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        subprocess.run(
            _program(shlex.split(command), self._python), cwd=self._files, env=environment, check=True
        )

    async def serve(self, command: str, *, port: int | None = None, serves: bool = True) -> Process:
        """Run a command of a page until the end of the test.

        Args:
            command: as on the page.
            port: where it listens; None for any.
            serves: whether it serves Socket.IO, or does something else.
        """
        port = port or free_port()
        folder = self._folder / str(port)
        shutil.copytree(self._files, folder, dirs_exist_ok=True)
        for path in folder.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(_PORT_ON_PAGES, str(port)), encoding="utf-8")
        process = Process(folder, command, port=port, python=self._python)
        self.processes.append(process)
        await process.start(serves=serves)
        return process

    def close(self) -> None:
        """End what still runs; pytest shows what it printed if the test fails."""
        for process in self.processes:
            print(f"--- {process.url}\n{process.output()}")  # noqa: T201 - pytest shows it
            process.kill()


def _settings(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables that a command sets (``ASYNC_MODE=gevent gunicorn ...``), and its other words."""
    words = shlex.split(command)
    settings: dict[str, str] = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    return settings, words


def _program(words: list[str], python: Path) -> list[str]:
    """The words of a command, with the program as a Python's environment has it.

    What lies beside the Python of the tests only, such as ``uvicorn``, the other Python runs, too.
    """
    program, *arguments = words
    if program == "python":
        return [str(python), *arguments]
    if own := shutil.which(program, path=str(python.parent)):
        return [own, *arguments]
    ours = shutil.which(program, path=str(Path(sys.executable).parent))
    assert ours is not None, f"{program} is installed neither beside {python} nor beside {sys.executable}"
    return [str(python), ours, *arguments]
