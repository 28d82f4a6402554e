"""The terminals that a page shows, acted out: real processes are started, typed into and read from.

A block of a terminal is read line by line:

- ``$ command`` runs a command; servers and clients keep running, and print what later blocks show;
- ``^C`` interrupts what runs there, and waits for its end;
- ``drop`` and ``back ...`` are typed;
- any other line must be the next one printed there. Ids and the store's URL differ from run to run: each
  stands for one value, the same wherever the page repeats it.
"""

import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import ROOT
from tests.e2e.npm import find_executable

__all__ = ["Stage"]

_CLIENT, _STORE = "client", "store"  # which terminals these are
_SECONDS = 30.0  # for one line, on a busy machine; a server may take its time to stop
_TYPED = re.compile(r"drop|back( .*)?")
_VARYING = re.compile(r"unix://\S+|(?<![\w-])[\w-]{20}(?![\w-])")
_PLACE = re.compile(r"localhost:(\d+)")
_RUNNING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
_OWN_LINES = re.compile(r"INFO: ")
_ENVIRONMENT = re.compile(r"[A-Z]+=.*")


class Terminal:
    """One terminal: what runs in it, and what that printed and nobody has looked at yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self._listens = threading.Event()
        self._printed: queue.Queue[str] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        """Start a program that goes on running."""
        assert self._process is None, f"something runs in the terminal {self.name!r} already"
        self._listens.clear()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_until_it_listens(self) -> None:
        """Wait for a server; its port is known then."""
        assert self._listens.wait(_SECONDS), f"the server in {self.name!r} printed {self.unread()}"

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        assert self._process is not None, f"nothing runs in the terminal {self.name!r}"
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def next_line(self) -> str:
        """Return the next line printed here."""
        try:
            return self._printed.get(timeout=_SECONDS)
        except queue.Empty:
            raise AssertionError(f"nothing was printed in {self.name!r} within {_SECONDS} s") from None

    def unread(self) -> list[str]:
        """Take what was printed and not looked at."""
        lines: list[str] = []
        while not self._printed.empty():
            lines.append(self._printed.get())
        return lines

    def stop(self, number: signal.Signals | None) -> None:
        """Send a signal, if any, to what runs here, and wait for its end; harmless if nothing does."""
        if self._process is None:
            return
        if number is not None:
            self._process.send_signal(number)
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"what ran in {self.name!r} did not end within {_SECONDS} s") from None
        finally:
            self._let_go()

    def _let_go(self) -> None:
        assert self._process is not None, "the caller has looked"
        assert self._reader is not None, "it was started with the process"
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None, "it was started with a pipe"
        for line in process.stdout:
            running = _RUNNING.search(line)
            if running is not None:
                self.port = int(running[1])
                self._listens.set()
            if not _OWN_LINES.match(line):
                self._printed.put(line.rstrip("\n"))


class Stage:
    """All terminals of a page, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._terminals: dict[str, Terminal] = {}
        self._ports: dict[str, int] = {}
        self._meant: dict[str, str] = {}

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Generator["Stage"]:
        """Set up a stage, and in the end stop whatever still runs."""
        stage = cls(folder)
        try:
            yield stage
        finally:
            for terminal in reversed(stage._terminals.values()):
                terminal.stop(signal.SIGTERM)

    def act(self, name: str, text: str) -> None:
        """Act out the block of a terminal."""
        terminal = self._terminals.setdefault(name, Terminal(name))
        for line in text.splitlines():
            if line == "^C":
                terminal.stop(signal.SIGINT)
            elif line.startswith("$ "):
                self._run(terminal, line.removeprefix("$ "))
            elif _TYPED.fullmatch(line):
                terminal.type(self._real(line))
            else:
                self._compare(line, terminal.next_line())

    def leftovers(self) -> dict[str, list[str]]:
        """What was printed and is not on the page; call it when everything has ended."""
        return {name: lines for name, each in self._terminals.items() if (lines := each.unread())}

    def end(self) -> None:
        """Press Ctrl-C at the client, then at the servers, and at last Enter at the store."""
        servers = [name for name in self._terminals if name not in {_CLIENT, _STORE}]
        for name in (_CLIENT, *servers, _STORE):
            if name not in self._terminals:
                continue
            if name == _STORE:
                self._terminals[name].type("")
            self._terminals[name].stop(None if name == _STORE else signal.SIGINT)

    def _run(self, terminal: Terminal, command: str) -> None:
        words = shlex.split(self._real(command))
        environment: dict[str, str] = {}
        while _ENVIRONMENT.fullmatch(words[0]):
            key, _, value = words.pop(0).partition("=")
            environment[key] = value
        program, *arguments = words
        if program == "uvicorn":
            self._serve(terminal, arguments, environment)
        elif program == "node":
            terminal.start([find_executable("node"), *arguments], self._folder, environment)
        elif program == "python":
            terminal.start([sys.executable, *arguments], self._folder, environment)
        else:
            _post(program, arguments)

    def _serve(self, terminal: Terminal, arguments: list[str], environment: dict[str, str]) -> None:
        """Start uvicorn on a port that is free; the page's port means that one from then on."""
        port = "8000"
        if "--port" in arguments:
            port = arguments[arguments.index("--port") + 1]
        command = [sys.executable, "-m", "uvicorn", *arguments, "--port", str(self._ports.get(port, 0))]
        terminal.start(command, self._folder, environment)
        terminal.wait_until_it_listens()
        self._ports[port] = terminal.port

    def _real(self, text: str) -> str:
        """What a text of the page means in this run."""
        placed = _PLACE.sub(lambda found: f"127.0.0.1:{self._ports[found[1]]}", text)
        return _VARYING.sub(lambda found: self._meant.get(found[0], found[0]), placed)

    def _compare(self, expected: str, printed: str) -> None:
        on_page, here = _VARYING.findall(expected), _VARYING.findall(printed)
        for sample, value in zip(on_page, here, strict=False):
            assert sample in self._meant or value not in self._meant.values(), f"{value} is not new"
            self._meant.setdefault(sample, value)
        assert printed == self._real(expected), f"expected {self._real(expected)!r}, it printed {printed!r}"


def _post(program: str, arguments: list[str]) -> None:
    """Run curl, or do what it would do where there is none."""
    if program != "curl" or arguments[:2] != ["-X", "POST"] or len(arguments) != 3:
        raise AssertionError(f"no terminal here can run {program} {arguments}")
    if shutil.which("curl") is not None:
        subprocess.run(
            ["curl", "--silent", "--show-error", "--fail", *arguments], check=True, capture_output=True
        )
        return
    with urllib.request.urlopen(urllib.request.Request(arguments[2], method="POST")) as answer:  # noqa: S310
        answer.read()
