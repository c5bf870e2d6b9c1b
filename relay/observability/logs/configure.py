"""Configure the format of all log lines, ours and the libraries': JSON, or text on a terminal.

No line contains an exception's message (it may quote a secret), the query of a request, or a path
that no route matches.
"""

import logging
import os
from collections.abc import MutableMapping, Sequence
from typing import Any

import structlog

from relay.observability import metrics
from relay.observability.exceptions import describe_failure, raised
from relay.observability.logs.context import log_context
from relay.observability.logs.rate_limit import LineRateLimit
from relay.observability.logs.writer import LineWriter

STDERR = 2
MAX_TEXT_CHARACTERS = 1_000  # characters of one field, so that a pipe takes a line in one piece
# Below these levels the libraries log each request that Relay makes, and each attempt to connect
# while the database is away.
LIBRARY_LEVELS = {
    "httpx": "WARNING",
    "httpcore": "WARNING",
    "urllib3": "WARNING",
    "asyncpg": "ERROR",
}

Event = MutableMapping[str, Any]


def configure_logs(level: str, descriptor: int = STDERR) -> None:
    """Send all lines to stderr. At `debug` there is no rate limit."""
    rate_limit = None if level == "debug" else LineRateLimit(_count_skipped)
    shared: Sequence[Any] = (
        structlog.contextvars.merge_contextvars,  # of the whole process: the worker's number
        _add_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *([] if rate_limit is None else [rate_limit]),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = LineWriter(descriptor, on_lost=_count_lost)
    if rate_limit is not None:
        handler.addFilter(rate_limit.admits)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _name_failure,
                _shorten,
                structlog.dev.ConsoleRenderer()
                if os.isatty(descriptor)
                else structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for former in root.handlers:
        former.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, level_name in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level_name)


def _add_context(_logger: Any, _method: str, event: Event) -> Event:
    """Add the context to a line. The line's own fields take precedence."""
    for name, value in log_context().items():
        event.setdefault(name, value if isinstance(value, int | float) else str(value))
    event.setdefault("pid", os.getpid())
    return event


def _name_failure(_logger: Any, _method: str, event: Event) -> Event:
    """Replace an exception by its types and source locations."""
    failure = raised(event.pop("exc_info", None))
    if failure is not None:
        event["failure"] = describe_failure(failure)
    return event


def _shorten(_logger: Any, _method: str, event: Event) -> Event:
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
            event[name] = value[:MAX_TEXT_CHARACTERS] + "…"
    return event


def _count_skipped() -> None:
    metrics.log_lines_dropped.labels("skipped").inc()


def _count_lost() -> None:
    metrics.log_lines_dropped.labels("blocked").inc()
