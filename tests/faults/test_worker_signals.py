"""Signals to a supervisor: SIGTERM ends its workers in order, SIGHUP replaces them under load."""

import signal
from pathlib import Path

import trio

from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives
from tests.support.relay_process import copy_data, running
from tests.support.seats import seated
from tests.support.workers import Workers


async def test_sigterm_closes_the_readers_of_every_worker_and_exits_with_0(pair: Workers) -> None:
    account = await Ledger(pair).enrol("u", [])
    workers = pair.workers()
    assert len(pair.metrics_folders()) == 1

    async def numbers() -> list[str]:
        """What they have measured."""
        return (await pair.ask("/metrics")).body.decode().splitlines()

    def measured(lines: list[str]) -> int:
        return sum(line.startswith("relay_process_resident_memory_bytes{") for line in lines)

    with trio.fail_after(PATIENCE):
        while measured(lines := await numbers()) < 2:  # noqa: ASYNC110
            await trio.sleep(0.2)
    assert measured(lines) == 2  # and not the spare
    assert {line.split()[1] for line in lines if line.startswith("relay_build_info{")} == {"1.0"}
    assert "relay_backplane_up 1.0" in lines
    async with seated(pair, account) as seats:
        pair.signal(signal.SIGTERM)
        assert await pair.ended() == 0
        await eventually(lambda: all(seat.end for seat in seats))
        for seat in seats:
            assert seat.end is not None
            assert (seat.last["type"], seat.last["code"], seat.end.code) == ("close", 1012, 1012)
    assert not [worker for worker in workers if lives(worker)]
    assert not pair.postgres()
    assert not pair.metrics_folders()
    assert [line["code"] for line in pair.logged("worker_ended")] == [0, 0]
    assert "Traceback" not in pair.stderr


async def test_a_signal_while_workers_start_lets_the_first_ones_drain(
    tmp_path: Path, made_data: Path
) -> None:
    program = Workers(tmp_path)
    copy_data(made_data, program.data)
    try:
        await program.launch()
        await program.says("worker_serves")  # the first one: it may have clients
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
        assert program.logged("stopping")
        assert [line["worker"] for line in program.logged("draining")]
        assert not program.logged("worker_died")
        assert not program.postgres()
    finally:
        await program.end()


async def test_a_second_signal_ends_all_at_once(tmp_path: Path, made_data: Path) -> None:
    program = Workers(tmp_path, RELAY_DRAIN_DELAY="600")  # what the first signal would take
    copy_data(made_data, program.data)
    async with running(program):
        workers = program.workers()
        program.signal(signal.SIGINT)
        await program.says("stopping")
        program.signal(signal.SIGINT)
        await program.ended()
        assert not [worker for worker in workers if lives(worker)]
        assert not program.postgres()


async def test_sighup_replaces_the_workers_under_load_without_a_refusal(pair: Workers) -> None:
    before = pair.workers()
    failed: list[str] = []

    async def knock() -> None:
        """New connections, all the time: each is answered."""
        while True:
            async with Caller(pair.port) as caller:
                try:
                    answer = await caller.call("GET", "/healthz")
                except Lost as lost:
                    failed.append(str(lost))
                else:
                    if answer.status != 200:
                        failed.append(str(answer))
            await trio.sleep(0.01)

    async with load(pair) as ledger, trio.open_nursery() as nursery:
        nursery.start_soon(knock)
        pair.signal(signal.SIGHUP)
        await pair.says("reloaded")
        await ledger.goes_on()
        nursery.cancel_scope.cancel()
    after = pair.workers()
    assert len(after) == 2
    assert not {worker.pid for worker in before} & {worker.pid for worker in after}
    assert not failed
    assert {code for reader in ledger.readers for code in reader.ends} <= {1012}
    assert not pair.logged("worker_died")


async def test_a_failed_reload_leaves_the_old_workers_serving(pair: Workers) -> None:
    before = {worker.pid for worker in pair.workers()}
    (pair.folder / "hypercorn.toml").write_text('certfile = "nowhere.pem"\nkeyfile = "nowhere"\n')
    pair.signal(signal.SIGHUP)
    await pair.says("reloaded")
    failures = pair.logged("reload_failed")
    assert [line["worker"] for line in failures] == [1, 2]
    assert "hypercorn.toml" in failures[0]["reason"]
    assert {worker.pid for worker in pair.workers()} == before
    assert await pair.is_ready()
