import _thread
import signal
from types import FrameType
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Have a worker close its Socket.IO connections when it is told to end, and not wait for them."""
    from flask_app import manager

    stop: Any = signal.getsignal(signal.SIGTERM)

    def close_and_stop(number: int, frame: FrameType | None) -> None:
        _thread.start_new_thread(manager.close, ())  # a signal handler must not wait itself
        stop(number, frame)

    signal.signal(signal.SIGTERM, close_and_stop)
