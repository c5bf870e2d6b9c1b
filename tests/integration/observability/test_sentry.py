"""Reports to Sentry, received by a local server: the failure, and no user data."""

import gzip
import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay.config.settings import Settings
from relay.observability.logs import bind_log_context
from relay.observability.sentry import configure_reports
from relay.server.observer import Observer
from relay.web.middleware.access_log import AccessLog
from tests.support.commands import environment, run_command
from tests.support.log_file import LogFile
from tests.support.patience import eventually

CANARY = "canary-7f3a"


class Sink(HTTPServer):
    """Takes envelopes and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[str] = []

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/1"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(envelope.splitlines()[2]) for envelope in self.taken]


class _Take(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, Sink)
        self.server.taken.append(body.decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_report_contains_the_failure_and_no_user_data(
    sink: Sink, log_file: LogFile
) -> None:
    log_file.at("info")
    configure_reports(Settings.load({"RELAY_SENTRY_DSN": sink.dsn}))

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        secret = {"token": CANARY}
        bind_log_context(user_id=f"user-{CANARY}")
        raise ValueError(f"{secret} does not fit")

    scope: Any = {
        "type": "http",
        "method": "POST",
        "query_string": CANARY.encode(),
        "headers": [(b"x-request-id", b"find-me"), (b"authorization", CANARY.encode())],
    }
    try:
        await AccessLog(app)(scope, _nothing, _nothing)  # type: ignore[arg-type]
    except ValueError as failure:
        Observer().application_failed(failure)
    structlog.get_logger("relay.test").error("postgres_died", reason=CANARY)
    structlog.get_logger("relay.test").warning("no_error")
    await eventually(lambda: len(sink.taken) == 2)

    failed, died = sorted(sink.events, key=lambda event: event["message"])
    assert (failed["message"], died["message"]) == ("application_failed", "postgres_died")
    (exception,) = failed["exception"]["values"]
    assert (exception["type"], exception["module"]) == ("ValueError", "builtins")
    assert exception["stacktrace"]["frames"][-1]["function"] == "app"
    assert failed["tags"]["request_id"] == "find-me"
    assert failed["release"].startswith("relay@")
    assert CANARY not in "".join(sink.taken)
    allowed = {"level", "logger", "message", "exception", "fingerprint", "tags", "release"}
    allowed |= {"event_id", "timestamp", "platform", "environment", "sdk"}
    assert failed.keys() <= allowed


async def _nothing(*_: Any) -> None:
    raise AssertionError("nobody talks here")


async def test_an_unreachable_sentry_is_ignored(log_file: LogFile) -> None:
    log_file.at("info")
    configure_reports(Settings.load({"RELAY_SENTRY_DSN": "http://public@127.0.0.1:9/1"}))
    structlog.get_logger("relay.test").error("postgres_died", reason="of old age")
    await log_file.line("postgres_died")


async def test_a_report_that_cannot_be_made_fails_nothing(sink: Sink, log_file: LogFile) -> None:
    log_file.at("info")
    configure_reports(Settings.load({"RELAY_SENTRY_DSN": sink.dsn}))
    logging.getLogger("a.library").error({"not": "a line of Relay"})
    structlog.get_logger("relay.test").error("postgres_died")
    await eventually(lambda: len(sink.taken) == 1)
    assert sink.events[0]["message"] == "postgres_died"


async def test_a_dsn_without_the_library_stops_the_start(tmp_path: Path) -> None:
    dsn = f"https://{CANARY}@sentry.example.com/1"
    script = (
        "import sys; sys.modules['sentry_sdk'] = None;"
        "from relay.cli.main import main; main(['serve'])"
    )
    done = await run_command(
        [sys.executable, "-c", script], tmp_path, environment(RELAY_SENTRY_DSN=dsn)
    )
    assert done.returncode == 1
    output = done.stderr.decode()
    needed = "RELAY_SENTRY_DSN needs the package sentry-sdk: install relay-streams[sentry]"
    assert output == f"Error: {needed}\n"


def test_a_dsn_is_never_shown() -> None:
    settings = Settings.load({"RELAY_SENTRY_DSN": f"https://{CANARY}@sentry.example.com/1"})
    assert CANARY not in repr(settings)
