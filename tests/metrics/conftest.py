"""Fixtures of these tests: those of the tests whose happenings are measured here."""

import pytest

from tests.faults.conftest import impatient, outage
from tests.interleavings.conftest import clock, witness, world

__all__ = ["clock", "impatient", "outage", "witness", "world"]


@pytest.fixture
def outage_store() -> str:
    """What the tests with an `outage` run on; what is measured does not depend on it."""
    return "valkey"
