"""A Postgres with a synchronous standby, each at a port of its own, and a fail-over."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from relay.db.embedded.accounts import list_accounts
from relay.db.embedded.cluster import Cluster
from relay.db.embedded.programs import Programs, find_programs, wait_for_exit
from relay.db.pool import connect
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.ports import HeldPort

IS_SYNCHRONOUS = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
# a standby that is killed with its primary's test needs no disk
SETTINGS = ("fsync=off", "shared_buffers=16MB", "max_wal_senders=4", "io_method=sync")


class Server:
    """One of the two."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self._programs = programs
        self._cluster = Cluster(folder, programs)
        self._held = HeldPort()
        self.port = self._held.number
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self._cluster.path

    @property
    def dsn(self) -> str:
        return f"postgresql://relay@127.0.0.1:{self.port}/relay?sslmode=disable"

    async def start(self) -> None:
        flags = [word for setting in SETTINGS for word in ("-c", setting)]
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-k", "")
        process = self._process = self._programs.launch(
            *("postgres", "-D", str(self.folder), *where, *flags), output=subprocess.DEVNULL
        )
        await eventually(lambda: self._cluster.is_ready(process.pid))

    async def kill(self) -> None:
        """End it without a chance to send anything more."""
        if self._process is not None:
            self._process.kill()
            await wait_for_exit(self._process)
            self._process = None

    async def execute(self, sql: str) -> None:
        async with connect(self.dsn, timeout=PATIENCE) as connection:
            await connection.execute(sql)


class Replicas:
    """A primary and its standby, which has every commit before it is acknowledged."""

    def __init__(self, primary: Server, standby: Server) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def dsn(self) -> str:
        """Both: whichever takes writes is used."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in (self.primary, self.standby))
        return f"postgresql://relay@{hosts}/relay?target_session_attrs=read-write&sslmode=disable"

    async def fail_over(self) -> None:
        """The primary is gone, and the standby takes its place."""
        await self.primary.kill()
        await self.standby.execute("SELECT pg_promote()")


@asynccontextmanager
async def running_replicas(folder: Path) -> AsyncIterator[Replicas]:
    programs = await find_programs(list_accounts(), folder)
    work = folder / "clusters"
    work.mkdir()
    programs.account.take_ownership(work)
    primary, standby = (Server(programs, work / name) for name in ("primary", "standby"))
    try:
        await programs.run(
            *("initdb", "-D", str(primary.folder), "--username=relay", "--auth=trust"),
            *("--no-sync", "--encoding=UTF8", "--no-locale"),
        )
        await primary.start()
        await programs.run(
            *("createdb", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "relay", "relay")
        )
        await programs.run(
            *("pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "relay"),
            *("-D", str(standby.folder), "--write-recovery-conf", "--no-sync", "-c", "fast"),
        )
        await standby.start()
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await primary.execute("SELECT pg_reload_conf()")
        async with connect(primary.dsn, timeout=PATIENCE) as connection:
            with trio.fail_after(PATIENCE):
                while not await connection.fetch(IS_SYNCHRONOUS):  # noqa: ASYNC110 - no event
                    await trio.sleep(LOOK_EVERY)
        yield Replicas(primary, standby)
    finally:
        with trio.CancelScope(shield=True):
            for server in (standby, primary):
                await server.kill()
