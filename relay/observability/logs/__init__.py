"""Structured logs: what every line says, where it goes, and how many there may be."""

from relay.observability.logs.configure import configure_logs
from relay.observability.logs.context import about, forget, know, known

__all__ = ["about", "configure_logs", "forget", "know", "known"]
