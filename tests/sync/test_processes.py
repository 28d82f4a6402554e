"""Whole processes: how they end, how they fork, and what happens to them with and without greenlets."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import redis

_ROOT = Path(__file__).resolve().parents[2]
_PATCHED = {
    "threading": "",
    "gevent": "from gevent import monkey; monkey.patch_all()",
    # Its release 0.41 says at every import that it is deprecated.
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch();"
    " warnings.simplefilter('error')",
}
modes = pytest.mark.parametrize("mode", _PATCHED)


def _start(mode: str, code: str, *args: str) -> "subprocess.Popen[str]":
    source = "\n".join([_PATCHED[mode], "from adapter import RecoveryManager", dedent(code)])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", source, *args],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(mode: str, code: str, *args: str) -> str:
    """Run a process to its end; it must not complain, nor hang. Return what it printed."""
    with _start(mode, code, *args) as process:
        try:
            output, complaints = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # its stacks are printed
            output, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, ""), complaints
    return output


@pytest.fixture
def entries(valkey_url: str) -> Iterator[redis.Redis]:
    """A client of the store."""
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@modes
@pytest.mark.parametrize("how", ["closes", "just ends"])
@pytest.mark.parametrize("store", ["memory", "valkey", "embedded"])
def test_a_process_that_emits_ends_without_a_word(mode: str, how: str, store: str, valkey_url: str) -> None:
    url = valkey_url if store == "valkey" else f"{store}://"
    code = """
    import sys
    manager = RecoveryManager(sys.argv[1], write_only=True)
    for number in range(10):
        manager.emit("n", number)
    if sys.argv[2] == "closes":
        manager.close()
    """
    _run(mode, code, url, how)


@modes
def test_other_event_loops_of_the_same_thread_go_on_working(mode: str) -> None:
    """With greenlets, asyncio takes all loops for loops of one thread."""
    code = """
    import asyncio, threading
    manager = RecoveryManager(write_only=True)
    manager.emit("n", 1)

    async def generate():
        for number in range(3):
            await asyncio.sleep(0.01)
            yield number

    async def work():
        manager.emit("n", 2)  # blocks this loop, and must not confuse it
        assert asyncio.get_running_loop() is loop_of_this
        return [number async for number in generate()]

    def run():
        global loop_of_this
        with asyncio.Runner() as runner:
            loop_of_this = runner.get_loop()
            results.append(runner.run(work()))
        manager.emit("n", 3)

    results = []
    for _ in range(3):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert results == [[0, 1, 2]] * 3, results
    manager.close()
    """
    _run(mode, code)


@pytest.mark.parametrize("mode", ["gevent", "eventlet"])
def test_greenlets_run_while_one_of_them_waits_for_the_store(mode: str, valkey_url: str) -> None:
    code = """
    import sys, threading, time
    manager = RecoveryManager(sys.argv[1], write_only=True)
    turns = []

    def count():
        while not done:
            turns.append(1)
            time.sleep(0.001)

    done = []
    counter = threading.Thread(target=count)
    counter.start()
    for number in range(20):
        manager.emit("n", number)
    done.append(True)
    counter.join()
    assert len(turns) > 1, turns
    """
    _run(mode, code, valkey_url)


@pytest.mark.parametrize("mode", ["gevent", "eventlet"])
def test_a_server_whose_library_is_not_patched_is_refused_with_advice(mode: str) -> None:
    code = f"""
    import socketio, warnings
    warnings.simplefilter("ignore")
    try:
        socketio.Server(async_mode={mode!r}, client_manager=RecoveryManager())
    except ValueError as error:
        print(type(error).__name__, error)
    """
    said = _run("threading", code)
    assert said.startswith("ConfigurationError")
    assert "has not patched socket" in said
    assert ("patch_all()" if mode == "gevent" else "monkey_patch()") in said


@pytest.mark.parametrize("mode", ["threading", "gevent"])
def test_a_forked_child_emits_as_a_process_of_its_own(
    mode: str, valkey_url: str, entries: redis.Redis
) -> None:
    """As a worker of Celery does whose parent has emitted, too, while other threads of the parent emit."""
    code = """
    import os, sys, threading
    manager = RecoveryManager(sys.argv[1], write_only=True)
    manager.emit("n", "before")
    server = manager._operations.process.runtime_of("/").server
    stop = []

    def emit():
        while not stop:
            manager.emit("other", 1)

    thread = threading.Thread(target=emit)
    thread.start()
    for _ in range(3):
        child = os.fork()
        if not child:
            for number in range(20):
                manager.emit("n", number)
            assert manager._operations.process.runtime_of("/").server != server
            manager.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        manager.emit("n", "after")
    stop.append(True)
    thread.join()
    manager.close()
    """
    _run(mode, code, valkey_url)
    found: list[tuple[bytes, dict[bytes, bytes]]] = entries.xrange("socket.io")  # type: ignore[assignment]
    mine = [fields for _, fields in found if b'"n"' in fields.get(b"data", b"")]
    assert len(mine) == 1 + 3 * 21
    assert len({fields[b"uid"] for fields in mine}) == 4


def test_ctrl_c_ends_an_emit_that_waits_and_leaves_the_manager_as_it_was() -> None:
    """With greenlets Python raises it in whichever of them runs, as in any program."""
    code = """
    import asyncio, sys, threading
    from recovery.commands import Append
    from recovery.stores.memory import AsyncMemoryStore

    class Store(AsyncMemoryStore):
        stuck = True

        async def execute(self, command):
            if self.stuck and isinstance(command, Append):
                print("waiting", flush=True)
                while self.stuck:
                    await asyncio.sleep(0.01)
            return await super().execute(command)

    store = Store()
    manager = RecoveryManager(store, write_only=True, publish_timeout=60.0)
    try:
        manager.emit("n", 1)
    except KeyboardInterrupt:
        print("interrupted")
    store.stuck = False
    manager.emit("n", 2)
    manager.close()
    print("closed")
    """
    with _start("threading", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    assert (process.returncode, output, complaints) == (0, "interrupted\nclosed\n", "")


@pytest.mark.parametrize("mode", ["threading", "gevent"])
def test_a_process_that_waits_for_a_store_that_is_away_can_end(mode: str) -> None:
    """A thread of it is in an emit when it ends."""
    code = """
    import threading, time
    manager = RecoveryManager("redis://127.0.0.1:1", write_only=True, publish_timeout=60.0)

    def emit():
        try:
            manager.emit("n", 1)
        except Exception:
            pass

    threading.Thread(target=emit, daemon=True).start()
    while not manager._portal.is_running:
        time.sleep(0.01)
    """
    _run(mode, code)


def test_the_admin_interface_sees_what_happens() -> None:
    """It emits from inside changes of the tables, in the loop too. It patches classes, hence a process."""
    code = """
    import socketio
    from tests.sync.harness import open_server
    from tests.waiting import wait_until

    with open_server() as server:
        instrumented = server.sio.instrument(auth=False, server_stats_interval=1)
        admin, seen = socketio.SimpleClient(), []
        admin.connect(server.url.replace("ws", "http").split("/socket.io")[0], namespace="/admin")
        client = server.client()
        server.sio.enter_room(client.sid, "room")
        server.sio.emit("n", 1, room="room")
        wait_until(lambda: client.got("n") == [1])
        client.cut()
        server.sio.emit("n", 2, room="room")
        client.connect()
        wait_until(lambda: client.got("n") == [1, 2])
        while not {"room_joined", "socket_disconnected"} <= set(seen):
            seen.append(admin.receive(timeout=10)[0])
        admin.disconnect()
        instrumented.shutdown()
    """
    _run("threading", code)
