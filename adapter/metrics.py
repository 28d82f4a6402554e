"""Metrics for Prometheus: needs the extra ``metrics``.

A collector reads the figures of managers (`adapter.figures`) whenever it is asked, so nothing is kept twice,
and nothing is paid between two scrapes.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapter.figures import FIGURES, Figure, FigureKind, Source, bound_text
from recovery.core.meters import Distribution

__all__ = ["RecoveryCollector"]


class Measured(Protocol):
    """A manager of either colour."""

    def figures(self) -> Source:
        """Where its metrics are read."""
        ...


class RecoveryCollector(Collector):
    """Shows the metrics of a manager, or of several, to Prometheus.

    Args:
        managers: one manager, or all of the process by name; the name is the label ``manager``, which is
            empty for a single one.

    One collector for all managers of a process: a registry takes each metric once.

    Example::

        from prometheus_client import REGISTRY, start_http_server

        from adapter.metrics import RecoveryCollector

        REGISTRY.register(RecoveryCollector(manager))
        start_http_server(9100)
    """

    def __init__(self, managers: Measured | Mapping[str, Measured]) -> None:
        self._managers = dict(managers) if isinstance(managers, Mapping) else {"": managers}

    def describe(self) -> Iterator[Metric]:
        """Name all metrics without reading any, for the registry that sees that none is there twice."""
        return map(_family, FIGURES)

    def collect(self) -> Iterator[Metric]:
        """Read all metrics; called at each scrape, in whatever thread that has."""
        sources = {name: manager.figures() for name, manager in self._managers.items()}
        for figure in FIGURES:
            family = _family(figure)
            for name, source in sources.items():
                for values, value in figure.read(source):
                    _add(family, [name, *values], value)
            yield family


def _family(figure: Figure) -> Metric:
    labels = ["manager", *figure.labels]
    match figure.kind:
        case FigureKind.COUNTER:
            return CounterMetricFamily(figure.name, figure.meaning, labels=labels)
        case FigureKind.GAUGE:
            return GaugeMetricFamily(figure.name, figure.meaning, labels=labels)
        case FigureKind.HISTOGRAM:
            return HistogramMetricFamily(figure.name, figure.meaning, labels=labels)


def _add(family: Metric, labels: list[str], value: float | Distribution) -> None:
    if isinstance(family, HistogramMetricFamily) and isinstance(value, Distribution):
        buckets = [(bound_text(bound), float(count)) for bound, count in value.buckets]
        family.add_metric(labels, buckets, value.total)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(value, Distribution):
        family.add_metric(labels, value)
