"""What server processes of all colours have in common: how they begin, listen and end."""

import _thread
import contextlib
import ctypes
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["die_with_parent", "forget_imports", "listen"]

_PR_SET_PDEATHSIG = 1


def die_with_parent(start_thread: Callable[..., Any] = _thread.start_new_thread) -> None:
    """End this process when the test run ends, however that happens.

    Args:
        start_thread: starts a real thread, where `threading` has greenlets.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    start_thread(watch, ())


def listen() -> socket.socket:
    """Listen where the last argument of the process says, or at any port."""
    # The protocol must be named: asyncio sets TCP_NODELAY only then, and without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a killed one's connections may linger
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the test keeps the port for the next one
    listener.bind(("127.0.0.1", int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 0))
    if size := os.environ.get("HOST_SEND_BUFFER"):  # connections inherit it: a slow client is felt soon
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(size))
    listener.listen(2048)
    return listener


def forget_imports() -> None:
    """Leave what is in memory by now out of the garbage collections that each test ends with.

    These look for what the test has left; going through all modules again took longer than many a test.
    """
    with contextlib.suppress(ImportError):  # a stock server does without it
        importlib.import_module("adapter")
    gc.collect()
    gc.freeze()
