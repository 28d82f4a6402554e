"""The project's own files, as the checks in this folder see them."""

import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import adapter
import recovery

__all__ = [
    "PACKAGES",
    "ROOT",
    "all_files",
    "markdown_pages",
    "modules",
    "relative",
    "shipped_sources",
    "sources",
]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (recovery, adapter)
_TOP_LEVEL = ("recovery", "adapter", "tests", "docs", ".ci")
_LEFT_OUT = {".coverage", ".git", "__pycache__", "node_modules"}  # generated, or other people's


@cache
def all_files() -> tuple[Path, ...]:
    """Every file that belongs to the project, sorted; no caches, no environments, no build output."""
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name not in _LEFT_OUT]
    below = [path for folder in _TOP_LEVEL for path in _walk(ROOT / folder)]
    return tuple(sorted(top + below))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            if path.name not in _LEFT_OUT and not path.name.endswith("_cache"):
                yield from _walk(path)
        elif path.suffix != ".pyc":
            yield path


def sources() -> list[Path]:
    """Every Python file, the tests' too."""
    return [path for path in all_files() if path.suffix == ".py"]


def shipped_sources() -> list[Path]:
    """The Python files that a user installs."""
    return [path for path in sources() if path.relative_to(ROOT).parts[0] in {"recovery", "adapter"}]


def markdown_pages() -> list[Path]:
    """README.md and everything under docs/."""
    return [path for path in all_files() if path.suffix == ".md" and _is_documentation(path)]


def _is_documentation(path: Path) -> bool:
    return path.parent == ROOT or path.relative_to(ROOT).parts[0] == "docs"


def modules() -> list[str]:
    """Dotted names of all modules that a user can import, sorted."""
    names = {package.__name__ for package in PACKAGES}
    for package in PACKAGES:
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names.update(module.name for module in found if not module.name.endswith("__main__"))
    return sorted(names)


def relative(path: Path) -> str:
    """The path as a reader would write it: relative to the root, with forward slashes."""
    return path.relative_to(ROOT).as_posix()
