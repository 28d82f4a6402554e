"""Examples in docstrings run, and every name that a user imports has one."""

import doctest
import importlib
import inspect

import pytest

from tests.quality.repository import PACKAGES, modules

pytestmark = pytest.mark.quality

_EXPORTED = [
    pytest.param(package.__name__, name, id=f"{package.__name__}.{name}")
    for package in PACKAGES
    for name in getattr(package, "__all__", ())
]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize(("package", "name"), _EXPORTED)
def test_an_exported_name_is_explained_by_an_example(package: str, name: str) -> None:
    exported: object = getattr(importlib.import_module(package), name)
    if not (inspect.isclass(exported) or inspect.isfunction(exported)):
        return  # a constant or a type: its comment stands beside it in the source, out of reach here
    docstring = vars(exported).get("__doc__") if inspect.isclass(exported) else exported.__doc__
    assert docstring, f"{package}.{name} has no docstring of its own"
    if not (inspect.isclass(exported) and issubclass(exported, Exception)):
        assert ">>>" in docstring or "::\n" in docstring, f"the docstring of {package}.{name} has no example"
