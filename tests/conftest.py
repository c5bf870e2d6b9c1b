"""A real Postgres for the whole session, a fresh migrated database for each test that asks."""

import gc
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
import trio.testing

import tests.rewriting  # noqa: F401 - before the modules that it is about
from relay.observability.logs import configure_logs
from tests.support.clock import CLOCKS, unused_clocks
from tests.support.databases import Databases
from tests.support.embedded import running_postgres
from tests.support.examples import register_profiles
from tests.support.programs import LACKED
from tests.support.relay_server import Relay, running_relay
from tests.support.shared_relay import SharedRelay
from tests.support.start import known_start, plain_temporary_folder
from tests.support.untried import could_be_tried, everything_is_asked_for, untried
from tests.support.valkey_servers import Cluster, Server, started
from tests.support.warm.starts import cold_starts, warm_starts

CONNECTIONS = 200
"""Four Relays serve until the end of a run, and a test may have several beside them; each opens
fourteen connections where it has much to do, and is refused service where there are no more."""

register_profiles()  # before a test module asks how many examples it should try


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whatever started this run, its tests are read and run in one state."""
    plain_temporary_folder()
    if config.getoption("numprocesses", None):
        return  # the tests are read and run by the processes that this one starts
    stack = ExitStack()
    home = stack.enter_context(TemporaryDirectory(prefix="relay-", ignore_cleanup_errors=True))
    stack.enter_context(known_start(Path(home)))
    stack.enter_context(warm_starts())
    config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests and what they import live to the end: the garbage collector need not look at them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and not CLOCKS.isdisjoint(item.fixturenames):
        unused = unused_clocks(item.fixturenames, inspect.signature(item.function).parameters)
        if unused:
            raise pytest.UsageError(f"{item.nodeid} must itself take {', '.join(unused)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and item.nodeid.partition(" ")[0] in LACKED:
        path, line, _ = report.longrepr
        report.longrepr = path, line, f"Skipped: {LACKED[item.nodeid.partition(' ')[0]]}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", ())
    line = untried(report.longrepr[2] for report in skipped)
    if line:
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is asked for, a skip is a failure, unless the kernel is the reason."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", ()) if reporter else ()
    if everything_is_asked_for() and any(could_be_tried(one.longrepr[2]) for one in skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _log_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Errors that this process logs are in a file: they are written behind the test's back, and
    would stand between the dots of the run."""
    with (tmp_path_factory.mktemp("log") / "relay.log").open("ab") as file:
        configure_logs("error", file.fileno())
        yield
        for handler in logging.getLogger().handlers:
            handler.close()


@pytest.fixture(name="cold_starts")
def _cold_starts() -> Iterator[None]:
    """Each program starts as it does without tests: for tests about a start itself."""
    with cold_starts():
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Postgres."""
    folder = tmp_path_factory.mktemp("postgres")
    decided, stop = threading.Event(), trio.Event()
    found: list[str] = []
    token: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        token.append(trio.lowlevel.current_trio_token())
        async with running_postgres(folder, connections=CONNECTIONS) as server:
            found.append(server.dsn)
            decided.set()
            await stop.wait()

    def serve() -> None:
        try:
            trio.run(run)
        finally:
            decided.set()  # it did not start, which pytest shows as this thread's error

    thread = threading.Thread(target=serve)
    thread.start()
    decided.wait()  # a start ends within its own time
    assert found, "Postgres did not start"
    yield found[0]
    token[0].run_sync_soon(stop.set)
    thread.join()


@pytest.fixture(scope="session")
def databases(postgres: str) -> Databases:
    """Makes databases, and keeps those that can serve another test."""
    made = Databases(postgres)
    made.prepare()
    return made


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database of the test's own."""
    with databases.migrated() as address:
        yield address


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    with databases.empty() as address:
        yield address


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, for all tests that leave them as they are."""
    cluster = Cluster("valkey", tmp_path_factory.mktemp("valkey"))
    with started(cluster):
        yield cluster


@pytest.fixture
def valkey_cluster_url(valkey_cluster: Cluster) -> str:
    return valkey_cluster.url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A single server of the other engine."""
    server = Server("redis", tmp_path_factory.mktemp("redis"))
    with started(server):
        yield server.url


@pytest.fixture(scope="session")
def shared_relay(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedRelay]:
    """A Relay for all tests that reach it as a user does: `tests/support/shared_relay.py`."""
    with databases.migrated() as address:
        program = SharedRelay(tmp_path_factory.mktemp("shared"), address)
        trio.run(program.start)
        yield program
        trio.run(program.end)


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A serving Relay: real Hypercorn on port 0, real Postgres."""
    async with running_relay(database_url) as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """The clock of a test and of a server in its loop. Tokens go by the wall clock."""
    # no look is late, however time jumps
    monkeypatch.setattr("relay.auth.revocations.TRUST_SECONDS", 86_400)
    monkeypatch.setattr("relay.realtime.stream_ends.POLL_GRACE_SECONDS", 86_400)
    return trio.testing.MockClock(rate=1)
