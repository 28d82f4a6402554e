"""Metrics of a bridge for Prometheus: needs the extra ``metrics``."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from recovery.aio.bridge import BridgeMeters
from recovery.bridging import Staying

__all__ = ["BridgeCollector"]

_LABELS = ["bridge"]


class BridgeCollector(Collector):
    """Shows the directions of a bridge to Prometheus.

    Args:
        meters: by the bridge's name, the label ``bridge``.
    """

    def __init__(self, meters: Mapping[str, BridgeMeters]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        """Read all metrics; called at each scrape, in whatever thread that has."""
        yield self._counter("crossed", "Entries that were appended on the other side.")
        stayed = CounterMetricFamily(
            "socketio_recovery_bridge_stayed",
            "Entries that were not carried over, by reason.",
            labels=[*_LABELS, "reason"],
        )
        for name, meters in self._meters.items():
            for reason in Staying:
                stayed.add_metric([name, reason.value], meters.stayed[reason])
        yield stayed
        yield self._counter("batches", "Calls that appended them.")
        yield self._counter("gaps", "Times that entries were gone before they could be carried over.")
        yield self._counter("elsewhere", "Times that the other side had another position.")
        yield self._counter("failures", "Attempts that a store did not answer, or refused.")
        yield self._gauge("failing", "1 while the bridge stands still.")
        yield self._gauge("delay", "Seconds from an emit to its arrival on the other side.", unit="_seconds")

    def _counter(self, name: str, meaning: str) -> Metric:
        family = CounterMetricFamily(f"socketio_recovery_bridge_{name}", meaning, labels=_LABELS)
        for bridge, meters in self._meters.items():
            family.add_metric([bridge], getattr(meters, name))
        return family

    def _gauge(self, name: str, meaning: str, *, unit: str = "") -> Metric:
        family = GaugeMetricFamily(f"socketio_recovery_bridge_{name}{unit}", meaning, labels=_LABELS)
        for bridge, meters in self._meters.items():
            value = getattr(meters, name)
            if value is not None:
                family.add_metric([bridge], float(value))
        return family
