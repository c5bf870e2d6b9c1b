"""Structured logs: their context, format, output and rate limit."""

from relay.observability.logs.configure import configure_logs
from relay.observability.logs.context import (
    bind_log_context,
    extend_log_context,
    log_context,
    reset_log_context,
)

__all__ = [
    "bind_log_context",
    "configure_logs",
    "extend_log_context",
    "log_context",
    "reset_log_context",
]
