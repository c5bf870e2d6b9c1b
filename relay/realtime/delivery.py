"""Measures how long an event takes from its arrival until it is written to a reader."""

from datetime import datetime

from relay.observability import metrics


def observe_delivery(received_at: datetime | None, now: datetime) -> None:
    """Record the delay of one write; `received_at` is that of the oldest event in it."""
    if received_at is not None:
        metrics.delivery_seconds.observe((now - received_at).total_seconds())
