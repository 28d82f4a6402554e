"""Programs that tests need, out of Debian's packages."""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import NoReturn

import pytest

__all__ = ["give_up", "program_of_package"]


def program_of_package(package: str, find: Callable[[], str | None]) -> str:
    """Return the path of a program; skips the test if it is not there, and cannot be installed."""
    program = find()
    if program is not None:
        return program
    if shutil.which("apt-get") is None:
        give_up(f"{package} is not installed, and there is no apt-get to install it with")
    installed = subprocess.run(
        [
            *("apt-get", "install", "-y", "--no-install-recommends"),
            *("-o", "DPkg::Lock::Timeout=120"),  # another test process may be installing it
            package,
        ],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},  # 1: start no service
        capture_output=True,
        text=True,
        check=False,
    )
    program = find()
    if program is None:
        give_up(f"apt-get cannot install {package}: {installed.stderr.strip()[-300:]}")
    return program


def give_up(reason: str) -> NoReturn:
    """Skip the test with a reason; in CI, where every program must be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
