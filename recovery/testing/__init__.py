"""For tests of applications: clusters in one process, and a checker of the promise.

Names are loaded when they are asked for: the checker needs nothing else, the state machines need hypothesis.
Strategies stand in `recovery.testing.strategies`, fixtures of pytest in `recovery.testing.plugin`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recovery.testing.checker import Kind, Violation, check, explain
    from recovery.testing.cluster import SimulatedCluster
    from recovery.testing.embedded import EmbeddedCluster
    from recovery.testing.history import History
    from recovery.testing.machine import ClusterMachine, FaultyClusterMachine

__all__ = [
    "ClusterMachine",
    "EmbeddedCluster",
    "FaultyClusterMachine",
    "History",
    "Kind",
    "SimulatedCluster",
    "Violation",
    "check",
    "explain",
]

_MODULES = {
    "ClusterMachine": "machine",
    "EmbeddedCluster": "embedded",
    "FaultyClusterMachine": "machine",
    "History": "history",
    "Kind": "checker",
    "SimulatedCluster": "cluster",
    "Violation": "checker",
    "check": "checker",
    "explain": "checker",
}


def __getattr__(name: str) -> Any:  # of any type: one of the names above
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
