"""The fields of every log line, and what no line contains."""

import logging
import os
import pty
import subprocess
import sys
from functools import partial
from typing import Any

import httpx
import pytest
import structlog

from relay.observability.logs import bind_log_context, extend_log_context
from relay.observability.logs.rate_limit import MAX_LINES_PER_SECOND, LineRateLimit
from relay.server.observer import Observer
from relay.web.middleware.access_log import AccessLog
from tests.support.log_file import LogFile
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, running_relay

CANARY = "canary-7f3a"


async def test_requests_of_one_connection_share_its_id_and_nothing_else(
    relay: Relay, log_file: LogFile
) -> None:
    user = await relay.user()
    hook = await user.token()
    log_file.at("debug")
    kept = httpx.Limits(keepalive_expiry=None)  # its connection, however slow the machine is
    async with httpx.AsyncClient(base_url=relay.url, timeout=PATIENCE, limits=kept) as http:
        answers = [
            await http.get("/api/me", headers=bearer(user.session)),
            await http.get("/healthz"),
            await http.post("/api/webhook/cli", headers=bearer(hook["token"])),
            await http.get("/api/me", headers=bearer("not-a-token")),
        ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    mine, health, hooked, refused = [
        await log_file.line("request_ended", request_id=request_id) for request_id in ids
    ]
    assert mine["user_id"] == hooked["user_id"] == user.user_id
    assert hooked["token_id"] == hook["token_id"] != mine["token_id"]
    for stranger in (health, refused):
        assert not {"user_id", "token_id"} & stranger.keys()
    assert len({line["connection_id"] for line in (mine, health, hooked, refused)}) == 1
    assert [(line["method"], line["route"], line["status"]) for line in (mine, hooked)] == [
        ("GET", "/api/me", 200),
        ("POST", "/api/webhook/cli", 415),
    ]
    assert mine["duration_s"] > 0
    assert {"timestamp", "level", "logger", "pid"} <= mine.keys()


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_stream_ends_with_one_line_with_its_reason(
    relay: Relay, log_file: LogFile, transport: str
) -> None:
    user = await relay.user()
    log_file.at("info")
    async with getattr(user, transport)() as stream:
        await stream.hello()
        await user.call("DELETE", "/api/session")
        assert (await stream.control("close"))["code"] == 4401
    line = await log_file.line("stream_ended")
    assert (line["code"], line["reason"], line["transport"]) == (4401, "revoked", transport)
    assert line["user_id"] == user.user_id
    assert {"request_id", "connection_id", "token_id", "duration_s"} <= line.keys()
    assert line["route"] == {"websocket": "/api/rt", "sse": "/api/sse"}[transport]
    assert len(log_file.lines("stream_ended")) == 1
    assert log_file.lines("request_ended") == []


async def test_a_refusal_is_logged_with_its_cause(database_url: str, log_file: LogFile) -> None:
    one = "1/h"
    async with running_relay(
        database_url,
        RELAY_RATE_LIMITS="on",
        RELAY_RATE_TOKENS=one,
        RELAY_RATE_EVENTS_PER_TOKEN=one,
        RELAY_RATE_HANDSHAKES="2/h",
        RELAY_MAX_CONNECTIONS_PER_USER="1",
    ) as relay:
        user = await relay.user()
        hook = await user.hook()
        log_file.at("info")
        await relay.http.get("/api/me")
        await relay.http.get("/api/me", headers=bearer("no-token"))
        await user.call("POST", "/api/token")
        for _ in range(2):
            await user.post(hook=hook)
        async with user.sse() as stream:
            await stream.hello()
            for _ in range(2):
                await user.call("GET", "/api/sse")
        await log_file.line("request_ended", limit="handshakes_address")
        found = [
            {name: line.get(name) for name in ("status", "problem", "reason", "limit")}
            for line in log_file.lines("request_ended")
        ]
    assert [tuple(line.values()) for line in found] == [
        (401, "unauthorized", "missing", None),
        (401, "invalid_token", "malformed", None),
        (429, "rate_limited", None, "tokens"),
        (429, "rate_limited", None, "events_token"),
        (429, "too_many_connections", None, "streams_user"),
        (429, "rate_limited", None, "handshakes_address"),
    ]


async def test_successful_requests_are_not_logged(relay: Relay, log_file: LogFile) -> None:
    user = await relay.user()
    hook = await user.hook()
    log_file.at("info")
    await user.post(hook=hook)
    for path in ("/healthz", "/readyz", "/metrics", "/nothing-here"):
        await relay.http.get(path)
    await relay.http.get("/api/me", headers=bearer("the-end"))
    await log_file.line("request_ended", status=401)
    # what has no request, as the beginning of housekeeping, may come at any time
    assert [line["event"] for line in log_file.all_lines() if "request_id" in line] == [
        "request_ended"
    ]


async def test_no_secret_query_or_unmatched_path_is_logged(relay: Relay, log_file: LogFile) -> None:
    user = await relay.user()
    hook = await user.hook()
    log_file.at("debug")
    await relay.http.get(f"/{CANARY}")
    await relay.http.get(f"/healthz?token={CANARY}")
    await relay.http.get(f"/api/sse?ticket={CANARY}")
    await relay.http.get("/api/me", headers=bearer(CANARY))
    await relay.http.get("/api/me", headers={"Cookie": f"relay_session={CANARY}"})
    await user.post(payload={"secret": CANARY}, hook=hook)
    await relay.http.post(
        "/api/webhook/cli", content=f'{{"{CANARY}"'.encode(), headers=bearer(hook)
    )
    await relay.http.get("/api/me", headers={"X-Request-ID": "the-end"})
    await log_file.line("request_ended", request_id="the-end")
    assert len(log_file.lines("request_ended")) == 8
    assert CANARY not in log_file.text
    assert hook not in log_file.text


async def test_a_flood_of_bad_tokens_is_rate_limited_in_the_log(
    relay: Relay, log_file: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    held = partial(LineRateLimit, clock=lambda: seconds[0])
    monkeypatch.setattr("relay.observability.logs.configure.LineRateLimit", held)
    log_file.at("info")
    for number in range(150):
        await relay.http.get("/api/me", headers=bearer(f"bad-{number}"))
    seconds[0] = 1.0
    await relay.http.get("/api/me", headers={**bearer("last"), "X-Request-ID": "last"})
    last = await log_file.line("request_ended", request_id="last")
    assert len(log_file.lines("request_ended")) == MAX_LINES_PER_SECOND + 1
    assert last["skipped"] == 150 - MAX_LINES_PER_SECOND


async def test_a_failure_is_logged_with_its_request_and_without_its_message(
    log_file: LogFile,
) -> None:
    log_file.at("info")

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        extend_log_context(user_id="somebody")
        raise ValueError(CANARY)

    bind_log_context(connection_id="the-connection")
    scope: Any = {"type": "http", "method": "GET", "headers": [(b"x-request-id", b"mine")]}
    try:
        await AccessLog(app)(scope, _nothing, _nothing)  # type: ignore[arg-type]
    except ValueError as failure:
        Observer().application_failed(failure)
    line = await log_file.line("application_failed")
    assert (line["request_id"], line["user_id"]) == ("mine", "somebody")
    assert line["connection_id"] == "the-connection"
    assert line["failure"].startswith("ValueError at ")
    assert CANARY not in log_file.text


async def _nothing(*_: Any) -> None:
    raise AssertionError("nobody talks here")


async def test_libraries_lines_have_the_same_shape(relay: Relay, log_file: LogFile) -> None:
    log_file.at("info")
    try:
        raise KeyError(CANARY)
    except KeyError:
        logging.getLogger("hypercorn.error").exception("Error in %s", "somewhere")
    line = await log_file.line("Error in somewhere")
    assert (line["logger"], line["level"]) == ("hypercorn.error", "error")
    assert line["failure"].startswith("KeyError at ")
    assert CANARY not in log_file.text


@pytest.mark.parametrize(("level", "written"), [("info", 3), ("warning", 2), ("error", 1)])
async def test_the_log_level_is_applied(log_file: LogFile, level: str, written: int) -> None:
    log_file.at(level)
    log = structlog.get_logger("relay.test")
    log.debug("quiet")
    log.info("said")
    logging.getLogger("library").warning("warned")
    log.error("failed")
    await log_file.line("failed")
    assert len(log_file.text.splitlines()) == written


def test_on_a_terminal_the_log_is_human_readable() -> None:
    ours, theirs = pty.openpty()
    script = (
        "import structlog; from relay.observability.logs import configure_logs;"
        "configure_logs('info');"
        "structlog.get_logger('relay.test').info('hello_there', answer=42)"
    )
    subprocess.run([sys.executable, "-c", script], stderr=theirs, check=True, timeout=PATIENCE)
    line = os.read(ours, 4096).decode()
    for end in (ours, theirs):
        os.close(end)
    assert "hello_there" in line
    assert "\x1b[" in line
    assert not line.startswith("{")
