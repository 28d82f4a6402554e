"""A manager that was being closed when its process ended raised in the thread that closed it.

Nobody waits for such a thread, of a signal handler for one: the interpreter closes what is left, and what was
under way ended with an error that told the operator nothing.
"""

import subprocess
import sys

from tests.docs.pages import ROOT

_PROGRAM = """
import _thread, threading
from adapter import RecoveryManager

manager = RecoveryManager("memory://", write_only=True)
manager.emit("news", "a")
closing = threading.Event()

async def close_slowly():
    import asyncio
    closing.set()
    await asyncio.sleep(3600)

manager._operations.close = close_slowly
_thread.start_new_thread(manager.close, ())
closing.wait(10)
"""


def test_a_manager_that_is_being_closed_when_the_process_ends_says_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
