"""What ends a Relay or keeps it from starting: one clear line and an exit code."""

import os
import re
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from relay.cli.main import main
from tests.support.client.connection import Lost
from tests.support.databases import NONSENSE, statement
from tests.support.ledger import load
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_process import Program, copy_data, dsn, running
from tests.support.tmpfs import tmpfs
from tests.support.two_relays import HOUR
from tests.support.workers import Workers


async def refusal(program: Program) -> str:
    """The one line it says when it will not start."""
    try:
        await program.launch()
        code = await program.ended()
        output = program.stderr
    finally:
        await program.end()
    assert code == 1, output
    errors = [line for line in output.splitlines() if not line.startswith("{")]
    assert len(errors) == 1, output
    assert errors[0].startswith("Error: ")
    return errors[0]


SETTING_OF_A_PROCESS = {"RELAY_HEARTBEAT": "never"}
IMPATIENT = {"relay.db.source.REACHABLE_WITHIN_SECONDS": 1.0}
SETTINGS = {
    **SETTING_OF_A_PROCESS,
    "RELAY_QUEUE_EVENTS": "-1",
    "CORS": "everybody",
    "BASE_URL": "ftp://relay",
    "RELAY_BACKPLANE_URL": "valkey://one",  # and no database that processes share
    "RELAY_SIGNING_KEYS": "k1:short",
}


async def test_a_failed_start_gives_its_reason_in_one_line(
    tmp_path: Path, database_url: str
) -> None:
    """All of them at once: two wait for a database before they give up."""
    output: dict[str, str] = {}

    async def start(name: str, database: str | None = None, **settings: str) -> None:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        program = Program(folder, database, **settings)
        program.altered = IMPATIENT
        output[name] = await refusal(program)

    async def start_workers() -> None:
        """What the supervisor needs is there; two workers need more than the database allows."""
        (tmp_path / "workers").mkdir()
        workers = Workers(tmp_path / "workers", database_url)
        workers.altered = IMPATIENT
        output["workers"] = await refusal(workers)
        assert not workers.metrics_folders()

    # a worker keeps two; and of what the supervisor opened one after the other, two may linger
    name = database_url.partition("@/")[2].partition("?")[0]
    await statement(database_url, f"ALTER DATABASE {name} CONNECTION LIMIT 3")

    unused_port = HeldPort()
    away = f"postgresql://relay:not-for-the-log@127.0.0.1:{unused_port.number}/relay"
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "data").write_text("mine")
    with unused_port, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start, "away", away)
            nursery.start_soon(start, "file")
            nursery.start_soon(start_workers)
            nursery.start_soon(partial(start, "keys", database_url, RELAY_SIGNING_KEYS=""))
            nursery.start_soon(partial(start, "port", RELAY_BIND=taken))
            for name, value in SETTING_OF_A_PROCESS.items():
                nursery.start_soon(partial(start, name, **{name: value}))
    assert "DATABASE_URL" in output["away"]
    assert "not-for-the-log" not in output["away"]
    assert str(tmp_path / "file" / "data") in output["file"]
    assert (tmp_path / "file" / "data").read_text() == "mine"
    assert "RELAY_SIGNING_KEYS" in output["keys"]
    assert re.match(r"Error: worker [12] did not start: .*too many connections", output["workers"])
    assert taken in output["port"]
    for name in SETTING_OF_A_PROCESS:
        assert name in output[name]


@pytest.mark.parametrize(("name", "value"), SETTINGS.items())
def test_a_refused_setting_is_named_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    """By the same command in this process: it ends before it starts anything."""
    given = {"RELAY_DATA_DIR": str(tmp_path / "data"), name: value}
    ended = CliRunner().invoke(main, ["serve"], env=given)
    assert (ended.exit_code, ended.stdout) == (1, "")
    (error,) = ended.stderr.splitlines()
    assert error.startswith("Error: ")
    assert name in error
    assert not (tmp_path / "data").exists()


async def test_a_data_folder_that_another_relay_holds(program: Program, tmp_path: Path) -> None:
    second = Program(tmp_path)
    async with load(program, users=1) as ledger:
        await second.launch()
        try:
            assert await second.ended() == 1
        finally:
            second.close_output()
        assert f"in use by another Relay (process {program.pid})" in second.stderr
        await ledger.goes_on()  # and the first one never noticed


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be made."""
    place = tmp_path / "data"
    place.mkdir()
    if os.geteuid() != 0:
        place.chmod(0o500)
        yield place
        place.chmod(0o700)
        return
    # root may write anywhere but where the disk does not let it
    with tmpfs(place, "ro,size=1m"):
        yield place


async def test_a_data_folder_that_cannot_be_written(tmp_path: Path, read_only: Path) -> None:
    line = await refusal(Program(tmp_path))
    assert str(read_only) in line
    assert "not writable" in line


async def test_a_background_task_that_dies_ends_the_process(
    tmp_path: Path, made_data: Path
) -> None:
    """Housekeeping no longer runs: what is trimmed is less than nothing."""
    program = Program(tmp_path, RELAY_HOUSEKEEPING_EVERY="0.2")
    copy_data(made_data, program.data)
    async with running(program):
        assert (await program.ask("/healthz")).status == 200
        await statement(dsn(program), NONSENSE)
        assert await program.ended() != 0
        with pytest.raises(Lost):
            await program.ask("/healthz")
        assert "run_retention" in program.stderr
        assert not program.postgres()


async def test_a_process_with_a_dead_background_task_reports_unhealthy(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_HOUSEKEEPING_EVERY="0.2")
    program.altered = {"relay.serving.FAILING_SECONDS": HOUR}
    copy_data(made_data, program.data)
    async with running(program):
        await statement(dsn(program), NONSENSE)
        with trio.fail_after(PATIENCE):
            while (answer := await program.ask("/healthz")).status == 200:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert (answer.status, answer.json["code"]) == (503, "failing")
        assert (await program.ask("/readyz")).json["detail"] == "This process is stopping."
