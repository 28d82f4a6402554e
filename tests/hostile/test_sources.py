"""Nothing that can be made to run code is ever read: no pickle, nor anything of its kind, is shipped."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter import AsyncRecoveryManager
from tests.quality.repository import relative, shipped_sources

_MODULES = frozenset(
    {"pickle", "cPickle", "_pickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
    | {"joblib", "yaml", "codeop"}
)
_PICKLES = frozenset({"pickle", "cPickle", "_pickle", "marshal", "shelve"})  # as attributes of anything
_CALLS = frozenset({"eval", "exec", "compile", "__import__"})
_METHODS = frozenset({"__reduce__", "__reduce_ex__", "__setstate__", "__getstate__"})


def _offences(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names if _is_forbidden(each.name))
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
            yield from ((node.lineno, name) for name in names if _is_forbidden(name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield node.lineno, node.func.id
        elif isinstance(node, ast.Attribute) and (node.attr in _METHODS or node.attr in _PICKLES):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _MODULES:
            yield node.lineno, node.value  # as `importlib.import_module` takes it


def _is_forbidden(name: str) -> bool:
    parts = name.split(".")
    return parts[0] in _MODULES or parts[-1] in _MODULES


def test_no_source_reads_what_could_run_code() -> None:
    offenders = [
        f"{relative(path)}:{line}: {what}"
        for path in shipped_sources()
        for line, what in _offences(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(list(shipped_sources())) > 60
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal",
        "from pickle import loads",
        "from redis import pickle",
        "import dill as json",
        "eval(text)",
        "importlib.import_module('shelve')",
        "msgpack.pickle.loads(x)",
        "class A:\n    def f(self):\n        return self.__reduce__()",
    ],
)
def test_such_a_source_would_be_found(source: str) -> None:
    assert list(_offences(ast.parse(source)))


def test_our_manager_is_none_of_those_that_pickle() -> None:
    """python-socketio's PubSub managers pickle what JSON cannot carry, and unpickle what they get."""
    modules = {Path(base.__module__.replace(".", "/")).name for base in AsyncRecoveryManager.__mro__}
    assert "async_pubsub_manager" not in modules
    assert "pubsub_manager" not in modules
