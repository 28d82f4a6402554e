"""Python environments that have other releases of two libraries, and all else from the one that runs."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "make_environment", "run_python"]

ROOT = Path(__file__).resolve().parents[2]
_INSTALL_SECONDS = 120  # a cold cache on a slow line; a warm one takes 2


def make_environment(folder: Path, requirements: Sequence[str]) -> Path:
    """Make an environment with these packages, without what they need; return its Python.

    What it lacks comes from the environment that runs the tests, after its own: the packages that are
    installed here hide those of the same names there, in processes that this Python starts, too.

    Raises:
        RuntimeError: pip failed; says what it printed.
    """
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    # `addsitedir`, because a mere path would leave out what is installed there as editable.
    outer = "\n".join(f"import site; site.addsitedir({path!r})" for path in _site_folders())
    (packages / "outer.pth").write_text(outer + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-deps", "--target", str(packages), *requirements])
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


def _site_folders() -> list[str]:
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False, cwd=ROOT
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
