"""A server that lacks what we need, or has it in another shape, is refused with words that help."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pytest
import socketio
from engineio.async_socket import AsyncSocket
from engineio.socket import Socket

from adapter import AsyncRecoveryManager, RecoveryManager, needs, releases, seams
from recovery.errors import ConfigurationError

_FOUND = f"python-socketio {version('python-socketio')} with python-engineio {version('python-engineio')}"


class _AsyncServer(socketio.AsyncServer):
    """A release that changed one of its methods."""


class _Server(socketio.Server):
    """The same."""


@dataclass(frozen=True)
class Colour:
    """The classes of a colour of python-socketio."""

    server: Any
    manager: Any
    base: Any
    socket: Any
    async_mode: str

    def serve(self) -> None:
        """Make a server."""
        self.server(async_mode=self.async_mode, client_manager=self.manager())


_ASYNC = Colour(_AsyncServer, AsyncRecoveryManager, releases.AsyncManager, AsyncSocket, "asgi")
_SYNC = Colour(_Server, RecoveryManager, releases.Manager, Socket, "threading")


@pytest.fixture(params=[_ASYNC, _SYNC], ids=["asyncio", "threading"])
def colour(request: pytest.FixtureRequest) -> Colour:
    chosen: Colour = request.param
    return chosen


def _of(needed: tuple[needs.Need, ...]) -> list[str]:
    return [need.name for need in needed if need.arguments is not None]


async def _waits(*_args: Any, **_kwargs: Any) -> None:
    pass


def _does_not_wait(*_args: Any, **_kwargs: Any) -> None:
    pass


def test_the_installed_releases_have_all_that_is_needed(colour: Colour) -> None:
    colour.serve()


class _Json:
    """A JSON module of the application."""

    dumps, loads = staticmethod(json.dumps), staticmethod(json.loads)


def test_a_manager_writes_with_the_json_module_of_its_server(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio.packet.Packet.json", json)  # it is one for all servers of a process
    manager = colour.manager()
    colour.server(async_mode=colour.async_mode, client_manager=manager, json=_Json)
    assert manager.json is _Json


@pytest.mark.parametrize("name", _of(needs.SERVER_NEEDS))
def test_a_server_without_a_method_is_refused(
    colour: Colour, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(colour.server, name, None, raising=False)
    with pytest.raises(ConfigurationError, match=rf"Server\.{name} is missing"):
        colour.serve()


@pytest.mark.parametrize("name", _of(needs.SERVER_NEEDS))
@pytest.mark.parametrize(
    ("colour", "replacement", "fault"),
    [(_ASYNC, _does_not_wait, "no"), (_SYNC, _waits, "a")],
    ids=["asyncio", "threading"],
    indirect=["colour"],
)
def test_a_server_with_a_method_of_the_other_colour_is_refused(
    colour: Colour,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    replacement: Callable[..., Any],
    fault: str,
) -> None:
    monkeypatch.setattr(colour.server, name, replacement, raising=False)
    with pytest.raises(ConfigurationError, match=rf"Server\.{name} is {fault} coroutine function"):
        colour.serve()


def test_the_refusal_says_what_was_found_what_is_known_to_work_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle_connect(_self: Any) -> None:
        pass

    monkeypatch.setattr(_AsyncServer, seams.HANDLE_CONNECT, handle_connect, raising=False)
    monkeypatch.setattr(_AsyncServer, seams.SEND_PACKET, None, raising=False)
    with pytest.raises(ConfigurationError) as refusal:
        _ASYNC.serve()
    assert str(refusal.value) == (
        f"{_FOUND} is not as recovery needs it: _AsyncServer._handle_connect does not take (eio_sid,"
        " namespace, data); _AsyncServer._send_packet is missing. Releases 5.13.0 to 5.18.1 of"
        " python-socketio are known to work: pip install 'python-socketio>=5.13,<5.19'"
    )


def test_a_release_without_reasons_of_disconnects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def as_in_5_11(_self: Any, _eio_sid: str) -> None:
        pass

    monkeypatch.setattr(_AsyncServer, seams.TRANSPORT_CLOSED, as_in_5_11, raising=False)
    with pytest.raises(ConfigurationError, match=r"_handle_eio_disconnect does not take \(eio_sid, reason\)"):
        _ASYNC.serve()


def test_what_parameters_are_called_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle_connect(_self: Any, transport: str, name: str, auth: Any, _more: Any = None) -> None:
        pass

    monkeypatch.setattr(_AsyncServer, seams.HANDLE_CONNECT, handle_connect, raising=False)
    _ASYNC.serve()


@pytest.mark.parametrize("name", _of(needs.MANAGER_NEEDS))
def test_a_release_whose_managers_lack_a_method_is_refused(
    colour: Colour, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(colour.base, name, None)
    with pytest.raises(ConfigurationError, match=rf"Manager\.{name} is missing"):
        colour.serve()


@pytest.mark.parametrize("name", _of(needs.SOCKET_NEEDS))
def test_a_release_whose_sockets_lack_a_method_is_refused(
    colour: Colour, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(colour.socket, name, None)
    with pytest.raises(ConfigurationError, match=rf"Socket\.{name} is missing"):
        colour.serve()


def test_a_server_of_the_other_colour_is_told_apart() -> None:
    with pytest.raises(ConfigurationError, match=r"AsyncRecoveryManager is for .* class Server:"):
        socketio.Server(async_mode="threading", client_manager=AsyncRecoveryManager())
    with pytest.raises(ConfigurationError, match=r"^RecoveryManager is for .* class AsyncServer:"):
        socketio.AsyncServer(async_mode="asgi", client_manager=RecoveryManager())
