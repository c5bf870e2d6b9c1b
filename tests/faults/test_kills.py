"""kill -9, of Relay and of its Postgres, under load."""

# ruff: noqa: ASYNC240 - a look at a folder delays nothing here

import signal
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.ledger import load
from tests.support.patience import eventually
from tests.support.processes import lives, send
from tests.support.relay_process import Program, copy_data, running


def is_relays(process: psutil.Process) -> bool:
    """Whether this process of Postgres serves a connection of Relay's."""
    with suppress(psutil.NoSuchProcess):  # some live for a moment only
        return "relay relay" in " ".join(process.cmdline())
    return False


async def test_relay_killed_and_started_again_has_lost_nothing(program: Program) -> None:
    async with load(program) as ledger:
        for _ in range(2):
            orphans = program.postgres()
            await program.kill()
            await program.start()
            assert not [process for process in orphans if lives(process)]
            await ledger.goes_on()
    assert {code for reader in ledger.readers for code in reader.ends} == {None}


async def test_killed_postgres_comes_back_under_a_relay_that_stays_up(program: Program) -> None:
    pid = program.pid
    async with load(program) as ledger:
        for times in (1, 2):
            send(program.postgres(), signal.SIGKILL)
            await program.says("postgres_back", times)
            await ledger.goes_on()
        assert len(program.logged("postgres_died")) == 2
        assert len(program.logged("postgres_back")) == 2
        assert not [line for line in program.log if line["logger"].startswith("asyncpg")]
    assert (program.pid, program.process.poll()) == (pid, None)
    dropped = [(reader.transport, reader.ends) for reader in ledger.readers if reader.ends]
    assert not dropped, dropped


async def test_a_killed_backend_loses_no_event(program: Program) -> None:
    async with load(program) as ledger:
        backend = next(process for process in program.postgres() if is_relays(process))
        send([backend], signal.SIGKILL)
        await eventually(lambda: not lives(backend))
        await ledger.goes_on()
        assert not program.logged("postgres_died")
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def test_a_relocated_socket_is_found_after_a_restart(tmp_path: Path, made_data: Path) -> None:
    folder = tmp_path / ("long-" * 22)
    folder.mkdir()
    program = Program(folder)
    copy_data(made_data, program.data)
    async with running(program):
        async with load(program) as ledger:
            send(program.postgres(), signal.SIGKILL)
            await program.says("postgres_back")
            await ledger.goes_on()
            socket_folder = Path((program.data / "socket").read_text().strip())
            assert list(socket_folder.iterdir())
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
        assert not socket_folder.exists()
