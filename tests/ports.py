"""Ports for servers that must be told theirs, and that may be started on the same one again."""

import contextlib
import random
import socket

__all__ = ["free_port"]

_OURS = range(20_000, 32_000)  # below those that systems give to whoever asks for any
_random = random.SystemRandom()  # pytest-randomly seeds the other one alike in all test workers


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to no connection meanwhile.

    Raises:
        RuntimeError: none was found.
    """
    for port in _random.sample(_OURS, 100):
        with contextlib.suppress(OSError), socket.socket() as place:
            place.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port is free among a hundred of {_OURS}")
