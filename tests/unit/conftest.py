"""Two servers over one store in memory, with the clock stopped."""

from collections.abc import Iterator

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from recovery.stores.memory_state import MemoryState
from tests.unit.hosts import SETTINGS, Host


@pytest.fixture
def clock() -> Iterator[FrozenDateTimeFactory]:
    with freeze_time("2026-11-21 12:00:00") as frozen:
        assert isinstance(frozen, FrozenDateTimeFactory)
        yield frozen


@pytest.fixture
def state(clock: FrozenDateTimeFactory) -> MemoryState:
    return MemoryState()


@pytest.fixture
def host(state: MemoryState) -> Host:
    return Host(state, "one", settings=SETTINGS)


@pytest.fixture
def other(state: MemoryState) -> Host:
    return Host(state, "two", settings=SETTINGS)
