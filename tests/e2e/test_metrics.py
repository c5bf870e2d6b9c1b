"""Metrics count what their help states, for the operator alone."""

import resource

import pytest
import trio

from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer, running_relay
from tests.support.tokens import claims_of

METRICS = [
    "relay_http_requests_total",
    "relay_http_request_duration_seconds_bucket",
    "relay_events_ingested_total",
    "relay_events_duplicate_total",
    "relay_connected_sockets",
    "relay_delivery_latency_seconds_bucket",
    "relay_stream_closes_total",
    "relay_resumes_total",
    "relay_auth_failures_total",
    "relay_build_info",
]


async def test_metrics_are_readable_from_loopback_only(database_url: str) -> None:
    async with running_relay(database_url) as relay:
        user = await relay.user()
        await user.posted(event_id="e")
        await user.posted(event_id="e")
        assert (await relay.http.get("/api/me")).status_code == 401
        async with user.websocket() as stream:
            await stream.hello()
            await user.posted()
            await stream.events(1)
        with trio.fail_after(PATIENCE):
            while "relay_stream_closes_total{" not in (await relay.http.get("/metrics")).text:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        answer = await relay.http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(("text/plain", "application/openmetrics"))
        missing = [name for name in METRICS if f"\n{name}" not in answer.text]
        assert missing == []
        for secret in (
            user.session,
            await user.hook(),
            user.user_id,
            claims_of(user.session)["jti"],
        ):
            assert secret not in answer.text
        openmetrics = await relay.http.get(
            "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")
        for header in ("X-Forwarded-For", "Forwarded"):
            check(await relay.http.get("/metrics", headers={header: "127.0.0.1"}), 403)


async def test_any_proxy_header_closes_the_metrics(relay: Relay) -> None:
    for header in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"):
        answer = await relay.http.get("/metrics", headers={header: "192.0.2.1"})
        assert (header, answer.status_code) == (header, 403)


async def test_metrics_with_a_token_need_that_token(database_url: str) -> None:
    secret = "metrics-token-0123456789"
    async with running_relay(database_url, RELAY_METRICS_TOKEN=secret) as relay:
        user = await relay.user()
        nothing = await relay.http.get("/metrics")
        check(nothing, 401, "unauthorized")
        assert "error" not in nothing.headers["WWW-Authenticate"]
        for wrong in ("x", secret + "x", secret[:-1], user.session):
            check(await relay.http.get("/metrics", headers=bearer(wrong)), 401, "invalid_token")
        check(await relay.http.get("/metrics", headers={"Authorization": f"Basic {secret}"}), 401)
        behind = {**bearer(secret), "X-Forwarded-For": "192.0.2.1"}
        for headers in (bearer(secret), behind):
            assert (await relay.http.get("/metrics", headers=headers)).status_code == 200


async def test_the_limit_of_descriptors_is_the_one_that_relay_raised(database_url: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        async with running_relay(database_url, RELAY_MAX_CONNECTIONS="600") as relay:
            raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            text = (await relay.http.get("/metrics")).text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert raised > 512
    assert f"\nrelay_process_max_fds {raised}.0\n" in text


@pytest.mark.own_relay
async def test_metrics_count_what_their_help_states(relay: Relay) -> None:
    user = await relay.user()

    async def value(line: str) -> float:
        text = (await relay.http.get("/metrics")).text
        found = [row for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    rows = {
        'relay_events_ingested_total{event_type="task_failed"}': 1,
        "relay_events_duplicate_total": 1,
        'relay_http_requests_total{method="POST",route="/api/webhook/cli",status="200"}': 2,
        'relay_http_requests_total{method="GET",route="unmatched",status="404"}': 1,
        'relay_stream_closes_total{code="4401"}': 1,
        'relay_resumes_total{outcome="fresh"}': 1,
    }
    made = await user.token()
    before = {row: await value(row) for row in rows}
    for _ in range(2):
        await user.posted(event_id="same", event_type="task_failed")
    await relay.http.get("/nowhere/secret")
    async with user.websocket() as stream:
        await stream.hello()
        assert await value('relay_connected_sockets{transport="websocket"}') == 1
        assert made
        await user.call("DELETE", "/api/session")
        await stream.control("close")
        assert await stream.close_code() == 4401
    assert {row: await value(row) - before[row] for row in rows} == rows
