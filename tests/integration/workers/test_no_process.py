"""A service at a time when no process can be made: no room for one, or no program."""

import errno
import os

import pytest
import trio

from relay.workers.worker_process import Worker, WorkerFailed
from tests.support.patience import PATIENCE
from tests.support.stand_in_service import Service


async def test_the_workers_that_serve_go_on(service: Service) -> None:
    async with service.at_work():
        service.uninstall()
        service.kill(1)
        await service.says("worker_serves", times=2, worker=1)  # the spare one, and the last
        await service.says("no_spare")
        service.kill(1)
        await service.says("worker_not_replaced", worker=1)
        service.renew()
        await service.says("reloaded")
        service.install()
        await service.says("worker_serves", times=3, worker=1)
    (kept,) = service.logged("reload_failed")
    assert kept["worker"] == 2
    for line in (kept, *service.logged("no_spare"), *service.logged("worker_not_replaced")):
        assert line["reason"].startswith("no process could be made: [Errno 2] No such file")
    # the second worker is the one that began
    assert [line["code"] for line in service.logged("worker_ended", worker=2)] == [0]
    assert len(service.logged("worker_serves", worker=2)) == 1


async def test_a_first_start_fails_with_the_reason(service: Service) -> None:
    service.uninstall()
    with trio.fail_after(PATIENCE), pytest.raises(ExceptionGroup) as failed:
        await service.pool().run()
    assert failed.group_contains(WorkerFailed, match="^no process could be made: .*No such file")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError("can't start new thread"),  # of the thread in which trio makes it
    ],
    ids=["memory", "thread"],
)
async def test_each_lack_is_a_failure_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trio.lowlevel, "open_process", refused)
    with pytest.raises(WorkerFailed) as failed:
        await Worker(0).run(["relay"], [], {}, PATIENCE)
    assert str(failed.value) == f"no process could be made: {error}"
