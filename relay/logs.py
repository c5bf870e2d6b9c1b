"""Structured logs: JSON off a terminal, readable on one, the same shape from every library."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog


def configure_logs(level: str) -> None:
    """Send everything, ours and the libraries', to stderr in one shape."""
    shared: Sequence[Any] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Sequence[Any]
    if sys.stderr.isatty():
        renderer = (structlog.dev.ConsoleRenderer(),)
    else:
        renderer = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request says nothing new
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
