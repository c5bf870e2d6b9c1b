"""A real Postgres for the whole session, a fresh migrated database for each test that asks."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings

from relay.db.embedded import running_postgres
from relay.db.source import bring_up_to_date
from relay.observability.logs import configure_logs
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.programs import LACKED
from tests.support.relay_server import Relay, running_relay
from tests.support.start import known_start, plain_temporary_folder
from tests.support.untried import everything_is_asked_for, untried

TEMPLATE = "relay_template"

# Examples are the same in each run; `make shake` asks for others (--hypothesis-profile=shake).
# No example has a deadline: a busy machine takes seconds for the simplest one.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("shake", settings.get_profile("steady"), derandomize=False)
settings.load_profile("steady")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whatever started this run, its tests are read and run in one state."""
    plain_temporary_folder()
    if config.getoption("numprocesses", None):
        return  # the tests are read and run by the processes that this one starts
    stack = ExitStack()
    home = stack.enter_context(TemporaryDirectory(prefix="relay-", ignore_cleanup_errors=True))
    stack.enter_context(known_start(Path(home)))
    config.add_cleanup(stack.close)


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
    """Where everything is asked for, a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if everything_is_asked_for() and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logs("error")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Postgres with a migrated template database."""
    folder = tmp_path_factory.mktemp("postgres")
    ready, stop = threading.Event(), trio.Event()
    found: list[str] = []
    token: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        token.append(trio.lowlevel.current_trio_token())
        async with running_postgres(folder) as server:
            found.append(server.dsn)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert ready.wait(PATIENCE)
    asyncio.run(_statement(found[0], f"CREATE DATABASE {TEMPLATE}"))
    template = database_in(found[0], TEMPLATE)
    trio.run(lambda: bring_up_to_date(template, apply=True, timeout=10))
    yield found[0]
    token[0].run_sync_soon(stop.set)
    thread.join()


def database_in(dsn: str, name: str) -> str:
    return dsn.replace("@/relay?", f"@/{name}?")


async def _statement(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _drop(dsn: str, name: str) -> None:
    """Also while Postgres' own autovacuum looks at it, which we may not send away."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
                await _statement(dsn, f"DROP DATABASE {name} WITH (FORCE)")
                return
            await asyncio.sleep(LOOK_EVERY)


@contextmanager
def fresh_database(postgres: str) -> Iterator[str]:
    """A migrated database for the length of the block."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(_statement(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield database_in(postgres, name)
    asyncio.run(_drop(postgres, name))


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    with fresh_database(postgres) as address:
        yield address


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(_statement(postgres, f"CREATE DATABASE {name}"))
    yield database_in(postgres, name)
    asyncio.run(_drop(postgres, name))


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A serving Relay: real Hypercorn on port 0, real Postgres."""
    async with running_relay(database_url) as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """The clock of a test and of a server in its loop. Tokens go by the wall clock."""
    # no look is late, however time jumps
    monkeypatch.setattr("relay.auth.credentials.TRUST", 86_400)
    return trio.testing.MockClock(rate=1)
