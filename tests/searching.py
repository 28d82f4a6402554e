"""How long hypothesis searches: ``HYPOTHESIS_PROFILE=thorough pytest tests/properties`` for a long look.

The default, ``ci``, is the same in every run, so that what fails there fails at your desk.
"""

import os

from hypothesis import HealthCheck, settings

__all__ = ["load_profile"]

_SLOW_MACHINES = [HealthCheck.too_slow, HealthCheck.data_too_large]


def load_profile() -> None:
    """Choose for all tests of this run."""
    settings.register_profile(
        "ci",
        max_examples=150,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=_SLOW_MACHINES,
    )
    settings.register_profile(
        "thorough", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINES
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
