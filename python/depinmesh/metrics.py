"""Metrics of nodes for Prometheus. Needs the extra `[metrics]`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "depinmesh.metrics needs one more package: pip install 'depinmesh[metrics]'", name=error.name
    ) from error

from depinmesh._observing import library_metrics
from depinmesh.catalogue import BY_NAME, PREFIX, MetricInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric as Family

    from depinmesh.node import Node
    from depinmesh.status import Metric

__all__ = ["MetricsCollector"]


class MetricsCollector(Collector):
    """Gives the metrics of a node, as they are at that moment, to a registry of `prometheus_client`.

        registry.register(MetricsCollector(node))

    The names are those of `Node.metrics` with the prefix `depinmesh_`; what libp2p itself counts begins with
    `depinmesh_libp2p_`. Nothing is counted in Python: a scrape reads a snapshot. Nodes of one process need a registry
    each.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> Iterable[Family]:
        """Return the families without their samples, so that a registry need not scrape to know the names."""
        return [_family(info) for info in BY_NAME.values()]

    def collect(self) -> Iterator[Family]:
        """Return the families with their samples."""
        by_name: dict[str, list[Metric]] = {}
        for metric in self._node.metrics():
            by_name.setdefault(metric.name, []).append(metric)
        for name, info in BY_NAME.items():
            if samples := by_name.get(name):
                family = _family(info)
                for sample in samples:
                    _add(family, info, sample)
                yield family
        if text := library_metrics(self._node):
            yield from text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # of the library


def _family(info: MetricInfo) -> Family:
    name = PREFIX + info.name
    if info.kind == "histogram":
        return HistogramMetricFamily(name, info.help, labels=info.labels)
    if info.kind == "counter":
        return CounterMetricFamily(name, info.help, labels=info.labels)
    return GaugeMetricFamily(name, info.help, labels=info.labels)


def _add(family: Family, info: MetricInfo, sample: Metric) -> None:
    labels = [sample.labels.get(label, "") for label in info.labels]
    if isinstance(family, HistogramMetricFamily):
        family.add_metric(
            labels, [("+Inf" if math.isinf(bound) else str(bound), float(n)) for bound, n in sample.buckets], sample.sum
        )
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(labels, sample.value)
