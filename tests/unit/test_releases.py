"""A server that lacks what we need, or has it in another shape, is refused with words that help."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import socketio

from adapter import AsyncRecoveryManager, needs, releases, seams
from recovery.errors import ConfigurationError

_FOUND = f"python-socketio {version('python-socketio')} with python-engineio {version('python-engineio')}"


async def _takes_nothing() -> None:
    pass


def _is_synchronous(*_args: Any, **_kwargs: Any) -> None:
    pass


async def _names_its_parameters_otherwise(transport: str, name: str, auth: Any, _more: Any = None) -> None:
    pass


class _Server(socketio.AsyncServer):
    """A release that changed one of its methods; None takes it away."""


def _serve(changed: type[socketio.AsyncServer]) -> None:
    changed(async_mode="asgi", client_manager=AsyncRecoveryManager(), monitor_clients=False)


def test_the_installed_releases_have_all_that_is_needed() -> None:
    _serve(socketio.AsyncServer)


@pytest.mark.parametrize("name", [need.name for need in needs.SERVER_NEEDS if need.arguments is not None])
@pytest.mark.parametrize(
    ("replacement", "fault"),
    [
        (None, "is missing"),
        (_is_synchronous, "is no coroutine function"),
    ],
    ids=["missing", "synchronous"],
)
def test_a_server_without_a_method_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, replacement: Callable[..., Any] | None, fault: str
) -> None:
    monkeypatch.setattr(_Server, name, replacement, raising=False)
    with pytest.raises(ConfigurationError) as refusal:
        _serve(_Server)
    assert f"_Server.{name} {fault}" in str(refusal.value)


def test_the_refusal_says_what_was_found_what_is_known_to_work_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_Server, seams.HANDLE_CONNECT, _takes_nothing, raising=False)
    monkeypatch.setattr(_Server, seams.SEND_PACKET, None, raising=False)
    with pytest.raises(ConfigurationError) as refusal:
        _serve(_Server)
    assert str(refusal.value) == (
        f"{_FOUND} is not as recovery needs it: _Server._handle_connect does not take (eio_sid, namespace,"
        " data); _Server._send_packet is missing. Releases 5.13.0 to 5.18.1 of python-socketio are known to"
        " work: install one that is: pip install 'python-socketio>=5.13,<5.19'"
    )


def test_what_parameters_are_called_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = staticmethod(_names_its_parameters_otherwise)
    monkeypatch.setattr(_Server, seams.HANDLE_CONNECT, changed, raising=False)
    _serve(_Server)


@pytest.mark.parametrize("name", [need.name for need in needs.MANAGER_NEEDS])
def test_a_release_whose_managers_lack_a_method_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(releases.AsyncManager, name, None)
    with pytest.raises(ConfigurationError, match=rf"Manager\.{name} is missing"):
        _serve(socketio.AsyncServer)


@pytest.mark.parametrize("name", [need.name for need in needs.SOCKET_NEEDS])
def test_a_release_whose_sockets_lack_a_method_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"engineio.async_socket.AsyncSocket.{name}", None)
    with pytest.raises(ConfigurationError, match=rf"AsyncSocket\.{name} is missing"):
        _serve(socketio.AsyncServer)


def test_the_last_release_without_reasons_of_disconnects_would_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle_eio_disconnect(_self: Any, _eio_sid: str) -> None:
        """As it was in 5.11."""

    monkeypatch.setattr(_Server, seams.TRANSPORT_CLOSED, handle_eio_disconnect, raising=False)
    with pytest.raises(ConfigurationError, match=r"_handle_eio_disconnect does not take \(eio_sid, reason\)"):
        _serve(_Server)


def test_a_synchronous_server_is_told_apart() -> None:
    with pytest.raises(ConfigurationError, match="given to a Server, expected a"):
        socketio.Server(async_mode="threading", client_manager=AsyncRecoveryManager())
