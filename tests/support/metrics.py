"""The metrics that the program has."""

from prometheus_client.metrics import MetricWrapperBase

from relay.observability import backplane_metrics, metrics

METRICS: tuple[MetricWrapperBase, ...] = tuple(
    value
    for module in (metrics, backplane_metrics)
    for value in vars(module).values()
    if isinstance(value, MetricWrapperBase)
)
