"""Errors reported to Sentry, for those who want that: what failed and where, nobody's data.

Each line that the log has at `error` is one report. What may be in it is listed here, word by
word; everything else, and whatever the library would add, stays out.
"""

import atexit
import logging
import sys
import traceback
from typing import Any

from relay import __version__
from relay.config.settings import SettingError, Settings
from relay.observability.exceptions import leaves

WAITING = 100  # reports on their way; what comes when Sentry is slower is dropped
PARTING = 1.0  # seconds for the last of them at the end of the process

TAGS = ("request_id", "connection_id", "transport", "route", "method", "status", "code", "worker")
KEPT = frozenset(
    {
        *("event_id", "timestamp", "level", "logger", "message", "exception", "fingerprint"),
        *("tags", "release", "platform", "environment", "sdk"),
    }
)


def configure_reports(settings: Settings) -> None:
    """Report what the log has at `error`, if a DSN says to. After `configure_logs`.

    Raises SettingError when the library is not there.
    """
    if settings.sentry_dsn is None:
        return
    try:
        from sentry_sdk import Client
    except ImportError:
        raise SettingError(
            "RELAY_SENTRY_DSN needs the package sentry-sdk: install relay[sentry]"
        ) from None
    client = Client(
        dsn=settings.sentry_dsn,
        release=f"relay@{__version__}",
        server_name="",
        before_send=_only_what_is_kept,
        # nothing is gathered, wrapped or traced: no request, no argument, no module of ours
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_client_reports=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        propagate_traces=False,
        transport_queue_size=WAITING,
        shutdown_timeout=PARTING,
    )
    logging.getLogger().addHandler(Reporter(client))


class Reporter(logging.Handler):
    """Hands errors to the library, which sends them from a thread of its own."""

    def __init__(self, client: Any) -> None:
        super().__init__(logging.ERROR)
        self._client = client
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("sentry_sdk"):  # its own troubles are for the log alone
            self._client.capture_event(_report(record))

    def close(self) -> None:
        atexit.unregister(self.close)
        super().close()
        self._client.close(timeout=PARTING)


def _report(record: logging.LogRecord) -> dict[str, Any]:
    # a library's own words may quote anything: only that it said something is told
    line = record.msg if isinstance(record.msg, dict) else {"event": "library_failed"}
    failure = line.get("exc_info") or record.exc_info
    if failure is True:
        failure = sys.exc_info()
    if isinstance(failure, tuple):
        failure = failure[1]
    failures = list(leaves(failure)) if isinstance(failure, BaseException) else []
    return {
        "level": "error",
        "logger": record.name,
        "message": line["event"],
        "fingerprint": [record.name, line["event"], *(type(it).__name__ for it in failures)],
        "tags": {name: str(line[name]) for name in TAGS if name in line},
        "exception": {"values": [_exception(it) for it in failures]},
    }


def _exception(failure: BaseException) -> dict[str, Any]:
    """Its type and its places: no message, no variable, no source."""
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


def _only_what_is_kept(event: Any, _hint: Any) -> Any:
    return {name: value for name, value in event.items() if name in KEPT}
