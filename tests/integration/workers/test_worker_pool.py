"""The worker pool and its slots, with workers that follow the protocol and do what a test says."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from relay.workers import worker_pool
from relay.workers.protocol import HEARTBEAT_INTERVAL
from relay.workers.worker_process import Worker, WorkerFailed
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.scripts import stand_in_worker as stand_in
from tests.support.stand_in_service import Service

SILENCE = 5.0  # seconds between two signs of life, counted in looks of one BEAT each


async def test_a_reload_replaces_all_workers(service: Service) -> None:
    async with service.at_work():
        service.renew()
        await service.says("reloaded")
        assert [line["worker"] for line in service.logged("worker_serves")[2:]] == [1, 2]
    assert not service.logged("worker_died")


async def test_a_stuck_worker_does_not_block_a_reload(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "EXIT_TIMEOUT_SECONDS", 0.1)  # it is waited for in vain
    async with service.at_work():
        service.does(1, "fail and stay")
        service.renew()
        await service.says("reloaded")
        (failed,) = service.logged("reload_failed")
        assert failed["reason"] == "worker 1 did not start: a reason"
        assert len(service.logged("worker_serves", worker=2)) == 2
    # the old one stayed to the end
    assert [line["code"] for line in service.logged("worker_ended", worker=1)] == [0]


async def test_a_reload_skips_a_slot_whose_worker_cannot_start(service: Service) -> None:
    async with service.at_work():
        service.does(1, "fail")
        (first,) = service.logged("worker_started", worker=1)
        os.kill(first["pid"], signal.SIGKILL)
        await service.says("worker_not_replaced")
        service.renew()
        await service.says("reloaded")
        assert len(service.logged("worker_serves", worker=2)) == 2
        service.does(1, "serve")
        await service.says("worker_serves", times=2, worker=1)


async def test_a_worker_that_never_becomes_ready_is_given_up(service: Service) -> None:
    service.does(1, "say nothing")
    service.does(2, "say nothing")
    with trio.fail_after(PATIENCE), pytest.raises(ExceptionGroup) as failed:
        await service.pool(start_timeout=0.5).run()
    expected = "worker [12] did not start: it did not serve within 0.5 s"
    assert failed.group_contains(WorkerFailed, match=expected)


async def really(holds: Callable[[], bool]) -> None:
    """Wait until it holds, by the world's clock, where the loop's own stands still."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it has not come"
        await trio.to_thread.run_sync(time.sleep, LOOK_EVERY)


async def test_a_worker_without_heartbeats_is_replaced(
    service: Service, mock_clock: trio.testing.MockClock
) -> None:
    service.does(1, "serve and fall silent")
    async with service.at_work(silence=SILENCE) as pool:
        service.does(1, "serve")
        (other,) = (worker for worker in pool._workers if worker.number == 2)
        while not service.logged("worker_died"):
            await really(lambda: other._silence == 0)  # it is heard from between two looks
            mock_clock.jump(HEARTBEAT_INTERVAL)
            await trio.testing.wait_all_tasks_blocked()
        await really(lambda: len(service.logged("worker_serves", worker=1)) == 2)
        (died,) = service.logged("worker_died")
        assert (died["worker"], died["code"]) == (1, -signal.SIGKILL)
        assert died["reason"] == "no sign of life for 5 s"


async def test_workers_learn_that_all_serve_when_all_do(service: Service) -> None:
    service.does(2, "serve when let")
    pool = service.pool()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        await service.says("worker_serves", worker=1)
        await trio.testing.wait_all_tasks_blocked()
        service.let()
        await eventually(lambda: all(service.received(number) for number in (1, 2)))
        assert {service.received(number) for number in (1, 2)} == {"all serve, after it was let"}
        (first,) = service.logged("worker_started", worker=1)
        os.kill(first["pid"], signal.SIGKILL)
        await service.says("worker_serves", times=2, worker=1)
        await pool.end()


async def test_workers_that_are_starting_are_ended_like_others(service: Service) -> None:
    service.does(2, "serve when let")  # never
    pool = service.pool()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        await service.says("worker_serves", worker=1)
        with trio.fail_after(PATIENCE):
            await pool.end()
        assert not pool.all_serve.is_set()
    assert sorted(line["worker"] for line in service.logged("worker_ended")) == [1, 2]
    assert not service.logged("worker_died")


async def test_a_worker_that_ctrl_c_reaches_while_it_starts_has_ended_properly(
    service: Service, tmp_path: Path
) -> None:
    service.does(2, "end like one that a terminal ends")
    pool = service.pool()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        await eventually((tmp_path / "waits").exists)
        await service.says("worker_serves", worker=1)
        with trio.fail_after(PATIENCE):
            await pool.end()
    (ended,) = service.logged("worker_ended", worker=2)
    assert ended["code"] == -signal.SIGINT


async def test_a_worker_that_is_ended_while_its_process_is_made_ends(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(0)
    open_process = trio.lowlevel.open_process

    async def made_late(*given: Any, **options: Any) -> trio.Process:
        worker.terminate()
        return await open_process(*given, **options)

    monkeypatch.setattr(trio.lowlevel, "open_process", made_late)
    command = (sys.executable, str(stand_in.__file__), str(tmp_path))
    with trio.fail_after(PATIENCE):
        await worker.run(command, [], {}, PATIENCE)
    assert worker.ended_cleanly
    assert not service.logged("worker_died")


async def test_a_failed_start_lets_serving_workers_drain(service: Service) -> None:
    service.does(2, "fail when another serves")
    with (
        trio.fail_after(PATIENCE),
        pytest.RaisesGroup(
            pytest.RaisesExc(WorkerFailed, match="worker 2 did not start: a reason"),
            flatten_subgroups=True,
        ),
    ):
        await service.pool().run()
    assert [line["code"] for line in service.logged("worker_ended")] == [0]


async def test_a_stop_while_the_next_spare_is_made_is_clean(service: Service) -> None:
    async with service.at_work():
        (first,) = service.logged("worker_started", worker=1)
        os.kill(first["pid"], signal.SIGKILL)
        await service.says("worker_serves", times=2, worker=1)
    assert [line["pid"] for line in service.logged("worker_died")] == [first["pid"]]
