"""Environments with the releases at the ends of the range; the newest is where the tests themselves run."""

from pathlib import Path

import pytest

from tests.environments import make_environment


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the oldest releases that are supported."""
    releases = ["python-socketio==5.13.0", "python-engineio==4.11.0"]
    return make_environment(tmp_path_factory, "oldest", releases, alone=True)
