"""Several workers under a supervisor: killed, failing, replaced, stopped, orphaned."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.client.streams import TRANSPORTS, Ended, stream
from tests.support.commands import RELAY, complaints, environment
from tests.support.commands import running as command
from tests.support.database_proxy import line_to
from tests.support.databases import NONSENSE, SENSE, statement
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives, send
from tests.support.relay_process import Program, copy_data, dsn, running
from tests.support.workers import Workers

MANY = 12  # streams at least, on both of two workers


@pytest.fixture
async def pair(tmp_path: Path, made_data: Path) -> AsyncIterator[Workers]:
    """Two workers, and a Postgres that their supervisor runs."""
    program = Workers(tmp_path, RELAY_HOUSEKEEPING_EVERY="0.2")
    copy_data(made_data, program.data)
    async with running(program):
        yield program


class Seat:
    """A stream that is watched until it ends, and how it ended."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.port = opened.connection.port
        self.last: dict[str, Any] = {}
        self.end: Ended | None = None

    async def watch(self) -> None:
        try:
            while True:
                self.last = (await self._opened.read())[-1]
        except Ended as ended:
            self.end = ended

    def is_at(self, worker: psutil.Process) -> bool:
        return any(c.raddr and c.raddr.port == self.port for c in worker.net_connections("tcp"))


def at(worker: psutil.Process) -> Callable[[Seat], bool]:
    return lambda seat: seat.is_at(worker)


@asynccontextmanager
async def seated(program: Workers, account: Account) -> AsyncIterator[list[Seat]]:
    """MANY streams or more over both transports, of every worker, watched until the block ends."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        seats: list[Seat] = []
        workers = program.workers()
        while len(seats) < MANY or not all(any(map(at(worker), seats)) for worker in workers):
            transport = TRANSPORTS[len(seats) % 2]
            opened = await stack.enter_async_context(
                stream(program.port, transport, account.session, insist=True)
            )
            await opened.read()  # hello
            seats.append(Seat(opened))
            nursery.start_soon(seats[-1].watch)
        yield seats
        nursery.cancel_scope.cancel()


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


async def test_a_worker_with_a_dead_background_task_is_replaced(
    pair: Workers,
) -> None:
    """Only one of them keeps house: what it trims is, for a while, less than nothing."""
    victim, other = sorted(pair.workers(), key=lambda worker: worker.create_time())
    health: list[tuple[int, str | None]] = []
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            while True:
                answer = await pair.ask("/healthz")
                health.append((answer.status, answer.json.get("code")))
                await trio.sleep(0.02)

        nursery.start_soon(look)
        await statement(dsn(pair), NONSENSE)
        await pair.says("background_work_died")
        await statement(dsn(pair), SENSE)
        await pair.says("worker_died")
        await pair.says("worker_serves", 3)
        nursery.cancel_scope.cancel()
    # (how long it shows that, before it ends, is more than this test could be sure to see)
    assert (200, None) in health
    assert set(health) <= {(200, None), (503, "failing")}
    died = pair.logged("worker_died")[0]
    assert died["worker"] == 1
    assert died["code"] not in (0, -9)
    assert {died["pid"]} == {victim.pid, other.pid} - {worker.pid for worker in pair.workers()}
    assert "run_retention" in pair.stderr


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
    assert stderr.count("RELAY_WORKER (meant: RELAY_WORKERS?)") == 1
