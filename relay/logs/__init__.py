"""Structured logs: what every line says, where it goes, and how many there may be."""

from relay.logs.known import about, forget, know, known
from relay.logs.shape import configure_logs

__all__ = ["about", "configure_logs", "forget", "know", "known"]
