"""SIGTERM with many readers, some of which never read."""

import signal
from pathlib import Path

import pytest
import trio

from tests.support.accounts import Account
from tests.support.backlog import stuff
from tests.support.client.streams import TRANSPORTS, Ended, stream
from tests.support.ledger import Ledger, load
from tests.support.patience import eventually
from tests.support.processes import send
from tests.support.relay_process import Program, copy_data, running

READERS = 1000  # that read, half of them on each transport
AT_ONCE = 50  # that open their stream: this is no test of a rush
STALLED = 100  # that never do
USERS = 40


async def attend(
    program: Program,
    account: Account,
    transport: str,
    goodbyes: "list[tuple[str, dict[str, object], int | None]]",
    task_status: trio.TaskStatus[None],
) -> None:
    """Read to the very end, and tell how that came."""
    last: dict[str, object] = {}
    async with stream(program.port, transport, account.session, insist=True) as opened:
        try:
            while True:
                for last in await opened.read():
                    if last.get("type") == "hello":
                        task_status.started()
        except Ended as ended:
            goodbyes.append((transport, last, ended.code))


async def stall(
    program: Program, account: Account, transport: str, task_status: trio.TaskStatus[None]
) -> None:
    """Open a stream and never read from it."""
    query = "?after=oldest"
    async with stream(program.port, transport, account.session, query, window=4096, insist=True):
        task_status.started()
        await trio.sleep_forever()


async def test_sigterm_closes_every_reader_and_stalled_ones_do_not_use_up_the_grace(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path)  # its grace is of ten minutes, and so is its patience with readers
    copy_data(made_data, program.data)
    async with running(program):
        await everybody_leaves(program)


async def everybody_leaves(program: Program) -> None:
    ledger = Ledger(program)
    accounts = [await ledger.enrol(f"u{n}", []) for n in range(USERS)]
    deaf = await ledger.enrol("deaf", [])
    await stuff(program, deaf)
    goodbyes: list[tuple[str, dict[str, object], int | None]] = []
    async with load(program, users=2, steady=1, hopping=0) as book, trio.open_nursery() as nursery:
        for n in range(STALLED):
            await nursery.start(stall, program, deaf, TRANSPORTS[n % 2])
        for first in range(0, READERS, AT_ONCE):
            async with trio.open_nursery() as opening:
                for n in range(first, first + AT_ONCE):
                    opening.start_soon(
                        nursery.start,
                        attend,
                        program,
                        accounts[n % USERS],
                        TRANSPORTS[n % 2],
                        goodbyes,
                    )
        await book.goes_on()
        processes = program.postgres()
        assert processes
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
        await eventually(lambda: len(goodbyes) == READERS)
        assert not program.postgres()
        for transport, last, code in goodbyes:
            assert (last["type"], last["code"], code) == ("close", 1012, 1012), (
                transport,
                last,
                code,
            )
        # what was acknowledged is there, and what goes on goes on where it was
        await program.start()
        await book.goes_on()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_process_stops_without_waiting_for_the_grace(
    program: Program, number: signal.Signals
) -> None:
    program.signal(number)
    assert await program.ended() == 0
    assert not program.postgres()
    assert "Traceback" not in program.stderr


async def test_sigterm_while_postgres_is_frozen_ends_it_and_postgres(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DRAIN_TIMEOUT="1", RELAY_DATABASE_TIMEOUT="1")
    copy_data(made_data, program.data)
    async with running(program):
        send(program.postgres(), signal.SIGSTOP)
        program.signal(signal.SIGTERM)
        await program.ended()  # and nothing has woken Postgres
        assert not program.postgres()
