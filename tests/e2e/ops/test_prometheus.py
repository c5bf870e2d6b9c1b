"""What a real Prometheus scrapes from one process and from two workers."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.support.patience import PATIENCE
from tests.support.prometheus import Prometheus, watching
from tests.support.relay_process import Program, running
from tests.support.relay_server import Relay, User, bearer

TOKEN = "scrape-me-0123456789"
STREAMS = 24  # the kernel gives each to one of two workers by chance: each surely has some
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scraped(program: Program, parse: Any = plain, **headers: str) -> dict[str, float]:
    """A scrape's samples, those of one name added up."""
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        answer = await http.get(f"{program.url}/metrics", headers={**bearer(TOKEN), **headers})
    assert answer.status_code == 200, answer.text
    found: dict[str, float] = {}
    for family in parse(answer.text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def live_a_little(here: User, there: User) -> None:
    """Known traffic on two processes, or twice on one: five events, a duplicate, four refusals."""
    for user in (here, there):
        await user.posted(event_type="task_started")
        await user.posted(event_type="log")
        await user.posted(event_type="log", event_id="once")
        assert (await user.post(hook="no-token")).status_code == 401
        assert (await user.post(event_type="nonsense")).status_code == 422
    async with there.websocket() as stream:
        await stream.hello()


async def see_it(prometheus: Prometheus) -> None:
    await prometheus.shows('sum(up{job="relay"})', {"": 1})
    await prometheus.shows(
        "sum by (event_type) (relay_events_ingested_total) > 0", {"log": 3, "task_started": 2}
    )
    await prometheus.shows("sum(relay_events_duplicate_total)", {"": 1})
    await prometheus.shows(
        "sum by (status) (relay_http_requests_total{route='/api/webhook/cli',method='POST'})",
        {"200": 6, "401": 2, "422": 2},
    )
    await prometheus.shows(
        "sum by (status) (relay_http_request_duration_seconds_count{route='/api/webhook/cli'})",
        {"200": 6, "401": 2, "422": 2},
    )
    await prometheus.shows("sum by (reason) (relay_auth_failures_total)", {"malformed": 2})
    await prometheus.shows(
        'sum by (code) (relay_problems_total{code!="not_ready"})',  # asked while it started
        {"invalid": 2, "invalid_token": 2},
    )
    await prometheus.shows("sum by (code) (relay_stream_closes_total) > 0", {"1006": 1})
    await prometheus.shows("sum(relay_resumes_total{outcome='fresh'})", {"": 3})
    await prometheus.shows(
        "sum by (transport) (relay_connected_sockets)", {"sse": 1, "websocket": 1}
    )
    await prometheus.shows("sum(relay_journal_waiting_events)", {"": 0})
    await prometheus.shows("count by (version) (relay_build_info == 1)", {"0.1.0": 1})
    assert await prometheus.query("relay_delivery_latency_seconds_count > 0")
    assert await prometheus.query("relay_process_resident_memory_bytes > 1e7")


async def test_a_scrape_shows_the_counts_of_one_process(tmp_path: Path, database_url: str) -> None:
    program = Program(tmp_path, database_url, RELAY_METRICS_TOKEN=TOKEN)
    async with (
        running(program),
        httpx.AsyncClient(base_url=program.url, timeout=PATIENCE) as http,
        watching(tmp_path, f"127.0.0.1:{program.port}", TOKEN) as prometheus,
    ):
        user = await Relay(program.url, http).user()
        async with user.websocket() as ws, user.sse() as sse:
            await ws.hello()
            await sse.hello()
            await live_a_little(user, user)
            await see_it(prometheus)
        assert await prometheus.query("process_resident_memory_bytes > 1e7")
        await prometheus.shows("sum(relay_connected_sockets)", {"": 0})
        await prometheus.shows("sum(relay_journal_limit_events)", {"": 20_000})
        answer = await scraped(program, openmetrics, Accept=OPENMETRICS)
        assert answer["relay_events_ingested_total"] == 5


async def test_a_scrape_of_one_worker_shows_both(tmp_path: Path, database_url: str) -> None:
    program = Program(tmp_path, database_url, RELAY_METRICS_TOKEN=TOKEN, RELAY_WORKERS="2")
    async with (
        running(program),
        httpx.AsyncClient(base_url=program.url, timeout=PATIENCE) as http,
        httpx.AsyncClient(base_url=program.url, timeout=PATIENCE) as other,
        watching(tmp_path, f"127.0.0.1:{program.port}", TOKEN) as prometheus,
    ):
        here = await Relay(program.url, http).user()
        there = User(Relay(program.url, other), here.user_id, here.session)
        async with here.websocket() as ws, there.sse() as sse:
            await ws.hello()
            await sse.hello()
            await live_a_little(here, there)
            await see_it(prometheus)
        answer = await scraped(program, openmetrics, Accept=OPENMETRICS)
        assert answer["relay_journal_limit_events"] == 40_000
        assert answer["relay_events_ingested_total"] == 5
        await prometheus.shows("count(relay_process_resident_memory_bytes > 0)", {"": 2})
        await prometheus.shows("max(relay_workers)", {"": 2})

        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(here.websocket()) for _ in range(STREAMS)]
            for stream in streams:
                await stream.hello()
            await prometheus.shows("sum(relay_connected_sockets)", {"": STREAMS})
            workers = psutil.Process(program.pid).children()
            max(workers, key=lambda worker: len(worker.net_connections("tcp"))).kill()
            # its gauges go with it, what it did stays done
            await prometheus.shows("sum(changes(relay_process_start_time_seconds[5m]))", {"": 1})
            left = sum(not stream.is_over for stream in streams)
            assert 0 < left < STREAMS
            await prometheus.shows("sum(relay_connected_sockets)", {"": left})
            await prometheus.shows("sum(relay_events_ingested_total)", {"": 5})
