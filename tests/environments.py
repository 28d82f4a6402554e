"""Python environments with packages of their own, and all else from the one that runs the tests.

Each is made once in a run, however many workers of pytest-xdist ask for it.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["ROOT", "make_environment", "run_python"]

ROOT = Path(__file__).resolve().parents[1]
_MADE = "made"  # a file in an environment that is complete
_INSTALL_SECONDS = 150  # a cold cache on a slow line; a warm one takes 2 for two packages, 20 for thirty


def make_environment(
    factory: pytest.TempPathFactory, name: str, requirements: Sequence[str], *, alone: bool = False
) -> Path:
    """Return the Python of the environment of a name, with these packages; skip the test without pip.

    What it lacks comes from the environment that runs the tests, after its own: the packages that are
    installed here hide those of the same names there, in processes that this Python starts, too.

    Args:
        factory: says where a run has its files.
        name: of the environment; who asks again for a name has the same requirements.
        requirements: as pip takes them.
        alone: leave out what these packages need and the outer environment lacks, or has in another version.

    Raises:
        RuntimeError: pip failed; says what it printed.
    """
    if importlib.util.find_spec("pip") is None:
        _give_up("pip is not installed")
    folder = _folder_of_the_run(factory) / f"environment-{name}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MADE).exists():
            _make(folder, [*(["--no-deps"] if alone else []), *requirements])
            (folder / _MADE).touch()
    return folder / "bin" / "python"


def run_python(python: Path, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a Python of an environment in the root of this repository, with what it prints in one text."""
    return subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which its workers share: each of them has one below that."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def _make(folder: Path, wanted: Sequence[str]) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder)])
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    # `addsitedir`, because a mere path would leave out what is installed there as editable.
    outer = "\n".join(f"import site; site.addsitedir({path!r})" for path in _site_folders())
    (packages / "outer.pth").write_text(outer + "\n")
    # The outer pip, run by the inner Python, sees what both have, and installs what is lacking here.
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-warn-conflicts", *wanted])


def _site_folders() -> list[str]:
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False, cwd=ROOT
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def _give_up(reason: str) -> NoReturn:
    """Skip the test with a reason; in CI, where an installer must be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
