"""Runs the embedded Postgres for the length of a block."""

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import trio

from .accounts import Account, list_accounts
from .cluster import DATABASE, ROLE, Cluster
from .errors import EmbeddedError
from .folder import PORT, FolderInUse, lock_folder, open_new_log, socket_folder, socket_in_use
from .leftovers import KILL_TIMEOUT_SECONDS, STOP_SIGNALS, end_leftovers
from .programs import failure_reason, find_programs, wait_for_exit


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running server and how to connect to it; `host` is the folder of its socket."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    pid: int
    _process: subprocess.Popen[bytes] = field(repr=False)
    _log: Path = field(repr=False)

    @property
    def dsn(self) -> str:
        """The URL for libpq and asyncpg. It contains the password: never log it."""
        return _url(self.host, self.password)

    async def wait_until_ended(self) -> str:
        """Wait until the server has ended unexpectedly, and return the reason in one line."""
        return _describe_exit(await wait_for_exit(self._process), self._log)


def _url(host: str, password: str) -> str:
    where = urlencode({"host": host, "port": PORT}, quote_via=quote)
    return f"postgresql://{ROLE}:{quote(password, safe='')}@/{DATABASE}?{where}"


def find_running_dsn(folder: Path) -> str | None:
    """The DSN of the server that another Relay runs on this data folder; None if none does.

    For commands that use the database of a running Relay, which has locked the folder. Raises
    EmbeddedError if it has not come so far as to have one.
    """
    try:
        with lock_folder(folder):
            return None
    except FolderInUse:
        try:
            password = (folder / "postgres.password").read_text().strip()
        except FileNotFoundError:
            message = f"data folder {folder}: Relay is still starting; try again"
            raise EmbeddedError(message) from None
        return _url(str(socket_in_use(folder, folder / "postgres")), password)


@asynccontextmanager
async def running_postgres(
    folder: Path,
    *,
    start_timeout: float = 60,
    stop_timeout: float = 10,
    connections: int = 60,
    accounts: Sequence[Account] | None = None,
) -> AsyncIterator[EmbeddedPostgres]:
    """Run the embedded Postgres on the data in `folder`; both are created if there are none.

    Postgres processes that are left from an earlier run are ended first. At the end of the block
    the server gets the stop signals one after the other, with `stop_timeout` seconds for each.
    It accepts at most `connections`. `accounts` are those that it may run as, in order of
    preference; by default the current user, or for root those in `accounts.py`. Times are in
    seconds.

    Raises EmbeddedError if the server does not accept connections within `start_timeout`.
    """
    deadline = trio.current_time() + start_timeout
    with lock_folder(folder) as folder, ExitStack() as stack:
        log = folder / "postgres.log"
        with _translate_start_errors(folder, deadline):
            programs = await find_programs(accounts or list_accounts(), folder)
            cluster = Cluster(folder / "postgres", programs)
            await end_leftovers(cluster.path, stop_timeout)
            password = await cluster.ensure()
            sockets = stack.enter_context(
                socket_folder(folder, cluster.path, programs.account, password)
            )
            with open_new_log(log) as output:
                process = cluster.launch(sockets, output.fileno(), connections)
        try:
            with _translate_start_errors(folder, deadline):
                await _wait_until_ready(process, cluster, log)
            yield EmbeddedPostgres(
                host=str(sockets),
                port=PORT,
                user=ROLE,
                password=password,
                database=DATABASE,
                pid=process.pid,
                _process=process,
                _log=log,
            )
        finally:
            with trio.CancelScope(shield=True):
                await _stop(process, stop_timeout)
                await end_leftovers(cluster.path, stop_timeout)


@contextmanager
def _translate_start_errors(folder: Path, deadline: float) -> Iterator[None]:
    """Turn a timeout or an OSError during the start into an EmbeddedError naming the folder."""
    try:
        with trio.fail_at(deadline):
            yield
    except trio.TooSlowError:
        raise EmbeddedError(f"Postgres did not start in time; see {folder}/postgres.log") from None
    except OSError as error:
        raise EmbeddedError(f"data folder {folder}: {error}") from error


async def _wait_until_ready(process: subprocess.Popen[bytes], cluster: Cluster, log: Path) -> None:
    """Wait until the server accepts connections. Raises EmbeddedError if it ends instead."""
    while not cluster.is_ready(process.pid):
        if (status := process.poll()) is not None:
            raise EmbeddedError(
                f"Postgres did not start: {_describe_exit(status, log)} (see {log})"
            )
        await trio.sleep(0.01)


async def _stop(process: subprocess.Popen[bytes], timeout: float) -> None:
    """End the server and reap it. After SIGKILL its children may still run."""
    for number in STOP_SIGNALS:
        process.send_signal(number)
        forced = number is signal.SIGKILL
        with trio.move_on_after(max(timeout, KILL_TIMEOUT_SECONDS) if forced else timeout):
            await wait_for_exit(process)
            return


def _describe_exit(status: int, log: Path) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    if status == 0:
        return "it was shut down"
    return failure_reason(log.read_bytes())
