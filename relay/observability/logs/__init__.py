"""Structured logs: their context, format, output and rate limit."""

from relay.observability.logs.configure import configure_logs
from relay.observability.logs.context import about, forget, know, known

__all__ = ["about", "configure_logs", "forget", "know", "known"]
