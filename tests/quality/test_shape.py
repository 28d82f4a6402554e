"""The code keeps the shape that a newcomer can read: sizes, private names, and words that stay out."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import engineio
import pytest
import socketio
from engineio.async_socket import AsyncSocket
from engineio.socket import Socket
from socketio.async_pubsub_manager import AsyncPubSubManager
from socketio.pubsub_manager import PubSubManager

from tests.quality.repository import all_files, relative, shipped_sources, sources

pytestmark = pytest.mark.quality

_MAX_FILE_LINES = 400
_MAX_FUNCTION_LINES = 50
_LONG_FILES: dict[str, str] = {}  # path: the reason
_LONG_FUNCTIONS: dict[str, str] = {}  # path::function: the reason

_SEAMS = (
    "adapter/seams.py",
    "adapter/sync_seams.py",
    "adapter/client_seams.py",
    "adapter/request_seams.py",
    "adapter/websocket_seams.py",
    "adapter/needs.py",
)
_PUBLIC_BY_CONTRACT = {"_asdict", "_fields", "_make", "_replace"}  # of named tuples
_CLASSES = (
    AsyncPubSubManager,
    PubSubManager,
    socketio.AsyncServer,
    socketio.Server,
    socketio.AsyncClient,
    socketio.Client,
    engineio.AsyncClient,
    engineio.Client,
    engineio.AsyncServer,
    engineio.Server,
    AsyncSocket,
    Socket,
)

_FORBIDDEN = {
    "a package registry's host": re.compile(
        r"(?:pypi|pythonhosted|npmjs|yarnpkg|debian)\.(?:org|com)\b|\bdeb\.", re.IGNORECASE
    ),
    "a path of a build machine": re.compile(r"(?<![\w.~$}/])/(?:work|farm|root|home|Users|builds?|tmp)/"),
    "an open end": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"),
}
# The words stand here as patterns, and in the files that must name them to keep them out.
_FORBIDDEN_MAY_STAND_IN = {"tests/quality/test_shape.py"}


def test_files_have_one_subject() -> None:
    lengths = {relative(path): len(_text(path).splitlines()) for path in sources()}
    assert {name: length for name, length in lengths.items() if length > _MAX_FILE_LINES} == {
        name: lengths[name] for name in _LONG_FILES
    }


def test_functions_fit_on_a_screen() -> None:
    lengths = dict(chain.from_iterable(_function_lengths(path) for path in sources()))
    assert {name: length for name, length in lengths.items() if length > _MAX_FUNCTION_LINES} == {
        name: lengths[name] for name in _LONG_FUNCTIONS
    }


def _function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{relative(path)}::{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_only_the_seams_touch_private_names_of_python_socketio() -> None:
    """Ruff's SLF001 sees ``server._x``; this sees the rest: inherited ``self._x``, overrides, strings."""
    theirs = {name for owner in _CLASSES for name in dir(owner) if _is_private(name)}
    offenders = [
        f"{relative(path)}:{line}: {name}"
        for path in shipped_sources()
        if relative(path).startswith("adapter/") and relative(path) not in _SEAMS
        for line, name in _private_names_used(ast.parse(_text(path)))
        if name in theirs
    ]
    assert not offenders, f"private names belong into {' or '.join(_SEAMS)}:\n" + "\n".join(offenders)


def test_no_private_name_is_imported_from_another_module() -> None:
    offenders = [
        f"{relative(path)}:{node.lineno}: {alias.name} from {node.module}"
        for path in shipped_sources()
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if _is_private(alias.name) and relative(path) not in _SEAMS
    ]
    assert not offenders, "\n".join(offenders)


def _private_names_used(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Private names in strings anywhere, and those used or defined in classes that inherit something."""
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_private(node.value):
            yield node.lineno, node.value
        elif isinstance(node, ast.ClassDef) and node.bases:
            yield from _private_names_inside(node)


def _private_names_inside(owner: ast.ClassDef) -> Iterator[tuple[int, str]]:
    for node in ast.walk(owner):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_private(node.name):
            yield node.lineno, node.name


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _PUBLIC_BY_CONTRACT


@pytest.mark.parametrize("what", _FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = _FORBIDDEN[what]
    offenders = [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path in all_files()
        if not _is_a_lock(path) and relative(path) not in _FORBIDDEN_MAY_STAND_IN
        for number, line in enumerate(_text(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert not offenders, f"{what} in\n" + "\n".join(offenders)


def _is_a_lock(path: Path) -> bool:
    return path.name in {"package-lock.json", "pylock.toml", "uv.lock"}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
