"""A worker that is killed, hangs or fails is replaced, and the streams of others go on."""

import signal
from pathlib import Path

import psutil
import trio

from tests.support.commands import RELAY, complaints, environment
from tests.support.commands import running as command
from tests.support.database_proxy import line_to
from tests.support.databases import NONSENSE, SENSE, statement
from tests.support.ledger import load
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives, send
from tests.support.relay_process import Program, copy_data, dsn, running
from tests.support.seats import seated
from tests.support.two_relays import HOUR
from tests.support.workers import Workers

ASKED_ONCE = {
    "relay.background.housekeeping.LEASE_SECONDS": HOUR,
    "relay.background.housekeeping.ASK_SECONDS": HOUR,
}
"""Constants with which no other worker does the housekeeping of one that fails at it."""


async def test_a_killed_worker_is_replaced_and_other_streams_are_unaffected(
    pair: Workers,
) -> None:
    async with load(pair) as ledger, seated(pair, ledger.accounts[0]) as seats:
        victim, other = pair.workers()
        lost, kept = ([s for s in seats if s.is_at(worker)] for worker in (victim, other))
        assert lost
        assert kept
        await eventually(lambda: pair.spare() is not None)
        spare = pair.spare()
        send([victim], signal.SIGKILL)
        await pair.says("worker_serves", 3)
        await ledger.goes_on()
        await eventually(lambda: all(seat.end for seat in lost))
        await ledger.goes_on()
        assert not [seat for seat in kept if seat.end]
        assert pair.logged("worker_serves")[2]["pid"] == spare
    (died,) = pair.logged("worker_died")
    assert died["reason"] == "killed by SIGKILL"
    assert (died["pid"], died["code"]) == (victim.pid, -9)
    assert other in pair.workers()
    assert {worker.name() for worker in pair.workers()} == {"relay worker 1", "relay worker 2"}


async def test_no_worker_is_ready_before_all_serve(tmp_path: Path, database_url: str) -> None:
    seen: list[tuple[int, str]] = []
    stopped: list[psutil.Process] = []

    async def look() -> None:
        answer = await program.ask("/readyz")
        seen.append((answer.status, answer.json.get("detail", "")))

    def stop(port: int) -> None:
        """The first worker that comes to the database stops there: so it does not serve yet."""
        for child in psutil.Process(program.pid).children():
            if not stopped and any(c.laddr.port == port for c in child.net_connections("tcp")):
                send([child], signal.SIGSTOP)
                stopped.append(child)

    async with line_to(database_url) as line:
        line.met = stop
        program = Workers(tmp_path, line.dsn)
        try:
            await program.launch()
            await program.says("worker_serves")
            async with trio.open_nursery() as nursery:  # half of them wait for the one that stands
                with trio.fail_after(PATIENCE):
                    while len(seen) < 3:
                        nursery.start_soon(look)
                        await trio.sleep(0.05)
                assert set(seen) == {(503, "Other workers are still starting.")}
                send(stopped, signal.SIGCONT)
                await program.ready()
            await look()
            assert seen[-1][0] == 200
        finally:
            await program.end()


async def test_a_worker_that_hangs_is_replaced_and_counted(tmp_path: Path, made_data: Path) -> None:
    program = Workers(tmp_path, RELAY_WORKER_SILENCE="3")
    copy_data(made_data, program.data)
    async with running(program):
        victim, other = program.workers()
        send([victim], signal.SIGSTOP)
        await program.says("worker_serves", 3)
        (died,) = program.logged("worker_died")
        assert (died["pid"], died["reason"]) == (victim.pid, "no sign of life for 3 s")
        assert other in program.workers()
        scrape = (await program.ask("/metrics")).body.decode()
        assert 'relay_workers_replaced_total{after="silent"} 1.0' in scrape


async def test_a_worker_with_a_dead_background_task_is_replaced(
    tmp_path: Path, made_data: Path
) -> None:
    """One of them does housekeeping: what it trims is, for a while, less than nothing."""
    program = Workers(tmp_path, RELAY_HOUSEKEEPING_EVERY="0.2")
    program.altered = ASKED_ONCE
    copy_data(made_data, program.data)
    health: list[tuple[int, str | None]] = []
    async with running(program), trio.open_nursery() as nursery:
        workers = {worker.pid for worker in program.workers()}

        async def look() -> None:
            while True:
                answer = await program.ask("/healthz")
                health.append((answer.status, answer.json.get("code")))
                await trio.sleep(0.02)

        nursery.start_soon(look)
        await statement(dsn(program), NONSENSE)
        await program.says("background_work_died")
        await statement(dsn(program), SENSE)
        await program.says("worker_died")
        await program.says("worker_serves", 3)
        nursery.cancel_scope.cancel()
        # (how long it shows that, before it ends, is more than this test could be sure to see)
        assert (200, None) in health
        assert set(health) <= {(200, None), (503, "failing")}
        died = program.logged("worker_died")[0]
        assert died["code"] not in (0, -9)
        assert {died["pid"]} == workers - {worker.pid for worker in program.workers()}
        assert "run_retention" in program.stderr


async def test_nothing_outlives_a_killed_supervisor_and_the_next_starts_at_once(
    pair: Workers,
) -> None:
    async with load(pair) as ledger:
        supervisor = psutil.Process(pair.pid)
        # looked at again where Postgres starts a process of a moment in between
        await eventually(
            lambda: {*pair.workers(), *pair.postgres()} <= {*supervisor.children(recursive=True)}
        )
        left = supervisor.children(recursive=True)  # a spare worker, too
        pair.process.kill()
        await pair.ended()
        await eventually(lambda: not any(lives(process) for process in left))
        await pair.start()
        await ledger.goes_on()


async def test_an_address_in_use_by_workers_is_refused(pair: Workers, tmp_path: Path) -> None:
    async def refused(workers: str) -> None:
        folder = tmp_path / workers
        folder.mkdir()
        bind = f"127.0.0.1:{pair.port}"
        second = Program(folder, RELAY_BIND=bind, RELAY_WORKERS=workers)
        try:
            await second.launch()
            assert await second.ended() == 1
            assert second.stderr.startswith(f"Error: cannot listen on {bind}: ")
            assert second.stderr.count("\n") == 1
        finally:
            await second.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, "1")
        nursery.start_soon(refused, "2")
    assert await pair.is_ready()


async def test_workers_run_the_demo_and_notify_the_init_system(
    tmp_path: Path, database_url: str
) -> None:
    notify_socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM)
    await notify_socket.bind(str(tmp_path / "notify"))
    env = environment(database_url, RELAY_WORKERS="2", NOTIFY_SOCKET=str(tmp_path / "notify"))
    env["RELAY_WORKER"] = "3"  # no setting, and reported once, not by every process
    serve = (*RELAY, "serve", "--demo", "--bind", "127.0.0.1:0")
    with notify_socket:
        async with command(serve, tmp_path, env) as server:
            await server.says(r"curl -N .*")
            with trio.fail_after(PATIENCE):
                assert await notify_socket.recv(99) == b"READY=1"
                server.process.terminate()
                assert await notify_socket.recv(99) == b"STOPPING=1"
            assert await server.ended() == 0
    stderr = (tmp_path / "stderr.log").read_text()
    assert complaints(stderr) == []
    assert stderr.count("RELAY_WORKER (did you mean RELAY_WORKERS?)") == 1
