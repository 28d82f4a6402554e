"""Fixtures of these tests: those of the tests whose happenings are measured here."""

from tests.faults.conftest import impatient, outage
from tests.interleavings.conftest import clock, witness, world

__all__ = ["clock", "impatient", "outage", "witness", "world"]
