"""The crew and its places, with workers that only talk: what goes wrong, goes wrong at will."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from relay.workers.orders import Order
from relay.workers.places import Place
from relay.workers.process import WorkerFailed
from relay.workers.supervisor import Crew
from tests.workers import stand_in

SILENCE = 5.0  # seconds between two signs of life of a stand-in, on a very busy machine
SOON = 20.0  # seconds for a few processes to start and end on a very busy machine


class Service:
    """A crew of two, what its workers do from now on, and what is logged of it."""

    def __init__(self, folder: Path, log: list[MutableMapping[str, Any]]) -> None:
        self._folder = folder
        self._log = log
        self._reload, self._reloads = trio.open_memory_channel[None](1)
        (folder / "metrics").mkdir()
        self.does(1, "serve")
        self.does(2, "serve")

    def does(self, number: int, what: str) -> None:
        (self._folder / str(number)).write_text(what)

    def let(self) -> None:
        (self._folder / "let").touch()

    def was_told(self, number: int) -> str:
        file = self._folder / f"{number} was told"
        return file.read_text() if file.exists() else ""

    def crew(self, start_within: float = 3 * SOON) -> Crew:
        places = [
            Place(Order(n, {}, [], [], [], "", "", "", (), "", None, keeps_house=False))
            for n in (1, 2)
        ]
        command = (sys.executable, str(stand_in.__file__), str(self._folder))
        metrics = str(self._folder / "metrics")
        return Crew(
            places, command, [], metrics, grace=SOON, silence=SILENCE, start_within=start_within
        )

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """All serve; in the end they are told to go, and do."""
        crew = self.crew()
        async with trio.open_nursery() as nursery:
            with trio.fail_after(SOON):
                await nursery.start(crew.run)
            nursery.start_soon(crew.renew_on, self._reloads)
            yield
            with trio.fail_after(SOON):
                await crew.end()
            nursery.cancel_scope.cancel()

    def renew(self) -> None:
        self._reload.send_nowait(None)

    def logged(self, event: str, **fields: Any) -> list[MutableMapping[str, Any]]:
        return [
            line for line in self._log if line["event"] == event and fields.items() <= line.items()
        ]

    async def says(self, event: str, times: int = 1, **fields: Any) -> None:
        with trio.fail_after(SOON):
            while len(self.logged(event, **fields)) < times:  # noqa: ASYNC110
                await trio.sleep(0.01)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with capture_logs() as log:
        yield Service(tmp_path, log)


async def test_a_reload_renews_all(service: Service) -> None:
    async with service.at_work():
        service.renew()
        await service.says("reloaded")
        assert [line["worker"] for line in service.logged("worker_serves")[2:]] == [1, 2]
    assert not service.logged("worker_died")


async def test_a_worker_that_cannot_and_does_not_end_holds_up_no_reload(service: Service) -> None:
    async with service.at_work():
        service.does(1, "fail and stay")
        service.renew()
        await service.says("reloaded")
        (failed,) = service.logged("reload_failed")
        assert failed["reason"] == "worker 1 did not start: a reason"
        assert len(service.logged("worker_serves", worker=2)) == 2
    # the old one stayed to the end
    assert [line["code"] for line in service.logged("worker_ended", worker=1)] == [0]


async def test_a_reload_passes_a_place_that_nobody_can_take(service: Service) -> None:
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


async def test_a_worker_that_says_nothing_is_given_up(service: Service) -> None:
    service.does(1, "say nothing")
    service.does(2, "say nothing")
    with trio.fail_after(SOON), pytest.raises(ExceptionGroup) as failed:
        await service.crew(start_within=0.5).run()
    said = "worker [12] did not start: it did not serve within 0.5 s"
    assert failed.group_contains(WorkerFailed, match=said)


async def test_a_worker_that_gives_no_sign_of_life_is_replaced(service: Service) -> None:
    service.does(1, "serve and fall silent")
    async with service.at_work():
        service.does(1, "serve")
        await service.says("worker_serves", times=2, worker=1)
        (died,) = service.logged("worker_died")
        assert (died["worker"], died["code"]) == (1, -signal.SIGKILL)
        assert died["reason"] == "no sign of life for 5 s"


async def test_workers_are_told_that_all_serve_and_not_before(service: Service) -> None:
    service.does(2, "serve when let")
    crew = service.crew()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crew.run)
        await service.says("worker_serves", worker=1)
        await trio.sleep(0.3)  # long enough for what must not come
        assert service.was_told(1) == ""
        service.let()
        with trio.fail_after(SOON):
            while not (service.was_told(1) == service.was_told(2) == "all serve\n"):  # noqa: ASYNC110
                await trio.sleep(0.01)
            (first,) = service.logged("worker_started", worker=1)
            os.kill(first["pid"], signal.SIGKILL)
            await service.says("worker_serves", times=2, worker=1)
            await crew.end()


async def test_a_start_that_fails_lets_those_who_serve_say_goodbye(service: Service) -> None:
    service.does(2, "fail when another serves")
    with (
        trio.fail_after(SOON),
        pytest.RaisesGroup(
            pytest.RaisesExc(WorkerFailed, match="worker 2 did not start: a reason"),
            flatten_subgroups=True,
        ),
    ):
        await service.crew().run()
    assert [line["code"] for line in service.logged("worker_ended")] == [0]


async def test_a_stop_while_the_next_spare_is_made_is_clean(service: Service) -> None:
    async with service.at_work():
        (first,) = service.logged("worker_started", worker=1)
        os.kill(first["pid"], signal.SIGKILL)
        await service.says("worker_serves", times=2, worker=1)
    assert [line["pid"] for line in service.logged("worker_died")] == [first["pid"]]
