"""Report errors to Sentry, if configured, without private data.

Each log line at `error` is one report. `TAGS` and `KEPT_FIELDS` list what a report may contain.
Everything else, and what the library would add, is dropped.
"""

import atexit
import logging
import traceback
from contextlib import suppress
from typing import Any

from relay import DISTRIBUTION, __version__
from relay.config.settings import SettingError, Settings
from relay.observability.exceptions import leaves, raised

MAX_WAITING_REPORTS = 100  # reports waiting to be sent; more are dropped
SHUTDOWN_TIMEOUT_SECONDS = 1.0  # seconds to send the last reports at the end of the process

TAGS = ("request_id", "connection_id", "transport", "route", "method", "status", "code", "worker")
KEPT_FIELDS = frozenset(
    {
        *("event_id", "timestamp", "level", "logger", "message", "exception", "fingerprint"),
        *("tags", "release", "platform", "environment", "sdk"),
    }
)


def configure_reports(settings: Settings) -> None:
    """Report log lines at `error`, if a DSN is set. Call it after `configure_logs`.

    Raises SettingError if the library is not installed.
    """
    if settings.sentry_dsn is None:
        return
    try:
        from sentry_sdk import Client
    except ImportError:
        raise SettingError(
            f"RELAY_SENTRY_DSN needs the package sentry-sdk: install {DISTRIBUTION}[sentry]"
        ) from None
    client = Client(
        dsn=settings.sentry_dsn,
        release=f"relay@{__version__}",
        server_name="",
        before_send=_drop_other_fields,
        # the library must collect nothing by itself: no request, argument or source
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_client_reports=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        propagate_traces=False,
        transport_queue_size=MAX_WAITING_REPORTS,
        shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS,
    )
    logging.getLogger().addHandler(Reporter(client))


class Reporter(logging.Handler):
    """Passes errors to the library, which sends them in its own thread."""

    def __init__(self, client: Any) -> None:
        super().__init__(logging.ERROR)
        self._client = client
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("sentry_sdk"):  # its own errors are only logged
            return
        # A report that cannot be made must not fail what logs. The line itself is in the log;
        # `handleError` would print the exception's message beside it.
        with suppress(Exception):
            self._client.capture_event(_report(record))

    def close(self) -> None:
        atexit.unregister(self.close)
        super().close()
        self._client.close(timeout=SHUTDOWN_TIMEOUT_SECONDS)


def _report(record: logging.LogRecord) -> dict[str, Any]:
    # a library's message may quote anything, so it is not reported
    line = record.msg if isinstance(record.msg, dict) else {"event": "library_failed"}
    failure = raised(line.get("exc_info") or record.exc_info)
    failures = [] if failure is None else list(leaves(failure))
    return {
        "level": "error",
        "logger": record.name,
        "message": line["event"],
        "fingerprint": [record.name, line["event"], *(type(it).__name__ for it in failures)],
        "tags": {name: str(line[name]) for name in TAGS if name in line},
        "exception": {"values": [_exception(it) for it in failures]},
    }


def _exception(failure: BaseException) -> dict[str, Any]:
    """Its type and traceback, without message, variables and source."""
    frames = [
        {
            "filename": frame.filename,
            "function": frame.name,
            "lineno": frame.lineno,
            "in_app": "/relay/" in frame.filename,
        }
        for frame in traceback.extract_tb(failure.__traceback__)
    ]
    kind = type(failure)
    return {"type": kind.__qualname__, "module": kind.__module__, "stacktrace": {"frames": frames}}


def _drop_other_fields(event: Any, _hint: Any) -> Any:
    return {name: value for name, value in event.items() if name in KEPT_FIELDS}
