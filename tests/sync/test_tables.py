"""The lock of python-socketio's tables, and a signal handler that emits wherever it interrupts a thread."""

import sys
import threading
from types import FrameType
from typing import Any

from adapter import RecoveryManager
from adapter.tables import TablesLock


def test_whoever_holds_the_lock_is_known_at_every_step() -> None:
    """A signal handler that emits may run between any two of them: it must not wait for the loop then.

    Here it runs at each line, and each return, of what takes the lock and lets it go.
    """
    lock, wrong = TablesLock(), []

    def is_free() -> bool:
        got = lock._lock.acquire(blocking=False)
        if got:
            lock._lock.release()
        return bool(got)

    def look(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename == TablesLock.is_mine.fget.__code__.co_filename:  # type: ignore[attr-defined]
            sys.settrace(None)
            free: list[bool] = []
            thread = threading.Thread(target=lambda: free.append(is_free()))
            thread.start()
            thread.join()
            if not (free[0] or lock.is_mine):
                wrong.append((frame.f_code.co_name, frame.f_lineno, event))
            sys.settrace(look)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        with lock, lock:
            pass
    finally:
        sys.settrace(before)
    assert wrong == []
    assert not lock.is_mine


def test_an_emit_from_within_the_tables_does_not_wait() -> None:
    manager = RecoveryManager(write_only=True)
    manager.emit("n", 1)
    release, waited = threading.Event(), list[bool]()
    manager._portal.post(lambda: waited.append(release.wait(5)))
    with manager.tables:
        manager.emit("n", 2)
    assert waited == [], "the loop has not come to it yet"
    release.set()
    manager.close()
