"""One number out of a manager's metrics."""

from typing import Any

from adapter.figures import Sample

__all__ = ["value"]


def value(manager: Any, name: str, **labels: str) -> float:
    """Return the only sample with this name, without its prefix, and these labels."""
    samples: tuple[Sample, ...] = manager.metrics()
    [found] = [
        sample.value
        for sample in samples
        if sample.name == f"socketio_recovery_{name}" and labels.items() <= sample.labels.items()
    ]
    return found
