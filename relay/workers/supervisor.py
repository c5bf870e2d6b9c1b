"""Start, replace, reload and stop several worker processes as one service.

The supervisor serves no requests. It owns what must outlive a worker: the listening sockets with
their queued connections, and the embedded Postgres if there is one.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import partial

import msgspec
import structlog
import trio
from hypercorn.config import Config, Sockets
from prometheus_client.multiprocess import mark_process_dead

from relay.config.settings import Settings
from relay.db.source import Source, bring_up_to_date, note_lack_of_connections, open_source
from relay.server.listeners import close_sockets, inherited, open_for_workers
from relay.serving import UNWINDING, Announce, reachable_as
from relay.workers.protocol import Order
from relay.workers.slots import Place
from relay.workers.worker_process import Worker, WorkerFailed, environment

START_WITHIN = 60.0  # until a worker serves, even if the database is away for a while
YOUNG = 10.0  # a worker that ends sooner has a fault that its successor shares
SLOWEST = 5.0  # between two attempts to replace a worker
ENDING = 2.0  # for a worker to exit by itself after it has reported its failure

log = structlog.get_logger("relay.workers")


async def supervise(
    settings: Settings,
    given: dict[str, str],
    config: Config,
    command: Sequence[str],
    *,
    announce: Announce,
    stop: trio.Event,
    reloads: "trio.MemoryReceiveChannel[None]",
) -> None:
    """Serve with `settings.workers` processes of `command` until `stop`, then end them gracefully.

    `given` has the variables from which the workers load the same settings. For each item of
    `reloads`, all workers are replaced one after the other. Raises what `serve_relay` does, and
    WorkerFailed if a worker cannot start at first, or does not end properly.
    """
    sets = open_for_workers(config, settings.workers)
    try:
        base_url = settings.base_url or reachable_as(sets[0])
        async with open_source(settings) as source:
            if source.folder is None:
                await note_lack_of_connections(source.direct, settings)
            await bring_up_to_date(
                source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
            )
            places = [
                Place(_order(number, given, config, sets, source, base_url))
                for number in range(1, settings.workers + 1)
            ]
            with tempfile.TemporaryDirectory(prefix="relay-metrics-") as metrics:
                grace = settings.drain_delay + settings.drain_timeout + UNWINDING
                silence = settings.worker_silence
                crew = Crew(places, command, _descriptors(sets), metrics, grace, silence)
                async with trio.open_nursery() as nursery:
                    await nursery.start(crew.run)
                    nursery.start_soon(crew.renew_on, reloads)
                    nursery.start_soon(announce, base_url, source.description)
                    await stop.wait()
                    log.info("stopping", workers=len(places))
                    await crew.end()
                    nursery.cancel_scope.cancel()
    finally:
        for sockets in sets:
            close_sockets(sockets)


def _order(
    number: int,
    given: dict[str, str],
    config: Config,
    sets: Sequence[Sockets],
    source: Source,
    base_url: str,
) -> Order:
    mine = sets[number - 1]
    bind, insecure_bind = inherited(config, mine)
    return Order(
        number=number,
        settings=given,
        bind=bind,
        insecure_bind=insecure_bind,
        others=_descriptors([one for one in sets if one is not mine]),
        base_url=base_url,
        dsn=source.dsn,
        direct=source.direct,
        keys=source.keys,
        database=source.description,
        folder=None if source.folder is None else str(source.folder.resolve()),
        keeps_house=number == 1,
    )


def _descriptors(sets: Sequence[Sockets]) -> list[int]:
    return [sock.fileno() for one in sets for sock in (*one.secure_sockets, *one.insecure_sockets)]


class Crew:
    """The workers, one in each slot, and a spare one.

    The spare has imported everything and waits for its configuration, which saves most of a
    replacement's start-up time. A worker has `start_within` seconds to start serving and `grace`
    seconds to stop. It is killed after `silence` seconds without a report.
    """

    def __init__(
        self,
        places: Sequence[Place],
        command: Sequence[str],
        descriptors: Sequence[int],
        metrics: str,
        grace: float,
        silence: float,
        start_within: float = START_WITHIN,
    ) -> None:
        self._places = places
        self._grace = grace
        self._start_within = start_within
        self._metrics = metrics
        # the spare's metrics are all 0; in a folder of their own they do not affect minima
        waiting = os.path.join(metrics, "waiting")
        os.mkdir(waiting)
        self._spawn = partial(
            Worker.run,
            command=command,
            descriptors=descriptors,
            environ=environment(waiting),
            silence=silence,
        )
        self._all_serve = False
        self._spare: Worker | None = None
        self._stocking = trio.Lock()
        self._living: set[Worker] = set()
        self._keeping = trio.CancelScope()
        self._processes: trio.Nursery

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep every slot filled until `end()`. Reports through `task_status` when all serve.

        Raises WorkerFailed if a worker cannot start at first.
        """
        async with trio.open_nursery() as self._processes:
            try:
                with self._keeping:
                    async with trio.open_nursery() as keeping:
                        async with trio.open_nursery() as starting:
                            for place in self._places:
                                starting.start_soon(keeping.start, self._keep, place)
                        self._all_serve = True
                        for worker in [worker for worker in self._living if worker.serving]:
                            await worker.tell_all_serve()
                        await self._stock()
                        task_status.started()
            except* WorkerFailed:
                await self._dismiss(list(self._living))  # some may be serving already
                raise

    async def end(self) -> None:
        """Stop all workers at once, and wait until they have ended. Raises WorkerFailed."""
        self._keeping.cancel()
        workers = list(self._living)
        await self._dismiss(workers)
        if failed := [worker for worker in workers if not worker.clean]:
            numbers = ", ".join(str(worker.number) for worker in failed)
            raise WorkerFailed(f"worker {numbers} did not end properly: {failed[0].failure}")

    async def _dismiss(self, workers: Sequence[Worker]) -> None:
        async with trio.open_nursery() as going:
            for worker in workers:
                worker.terminate()
                going.start_soon(self._see_off, worker)

    async def _see_off(self, worker: Worker) -> None:
        """Wait until a worker has ended, and kill it after its grace."""
        with trio.move_on_after(self._grace):
            await worker.ended.wait()
        worker.kill()
        await worker.ended.wait()

    async def renew_on(self, reloads: "trio.MemoryReceiveChannel[None]") -> None:
        """For each item, replace all workers one after the other, so that most keep serving."""
        async for _ in reloads:
            log.info("reloading", workers=len(self._places))
            if self._spare is not None:  # it has imported the old code
                self._spare.terminate()
                self._spare = None
            for place in self._places:
                place.renewing = done = trio.Event()
                place.stir()
                await done.wait()
            await self._stock()
            log.info("reloaded")

    async def _keep(self, place: Place, task_status: trio.TaskStatus[None]) -> None:
        """Keep a worker in this slot: replace it when it ends, and reload it on request."""
        worker = await self._begin(place)
        task_status.started()
        early = 0
        while True:
            await place.stirred()
            if worker.leaving:
                early = early + 1 if worker.age < YOUNG else 0
                self._processes.start_soon(self._see_off, worker)
                worker = await self._replace(place, early, worker.how_it_went)
            if place.renewing is not None:
                worker = await self._renew(place, worker)
                place.renewed()

    async def _replace(self, place: Place, early: int, after: str) -> Worker:
        """Start a replacement: at once for the first failure, then with growing delays."""
        while True:
            if early > 1:
                await trio.sleep(min(2.0 ** (early - 3), SLOWEST))
            try:
                worker = await self._begin(place, after)
                await self._stock()
                return worker
            except WorkerFailed as error:
                log.error("worker_not_replaced", worker=place.order.number, reason=str(error))
                early += 1
                place.renewed()  # the next worker is new anyway, so a reload can go on

    async def _renew(self, place: Place, old: Worker) -> Worker:
        """Replace a worker after the new one serves. If that one fails, the old one stays."""
        try:
            new = await self._begin(place)
        except WorkerFailed as error:
            log.error("reload_failed", worker=place.order.number, reason=str(error))
            return old
        old.terminate()
        await self._see_off(old)
        return new

    async def _begin(self, place: Place, after: str = "") -> Worker:
        """Start a worker in this slot, and wait until it serves. Raises WorkerFailed."""
        worker, self._spare = self._spare, None
        if worker is None or worker.leaving:
            worker = await self._fresh()
        await worker.begin(msgspec.structs.replace(place.order, after=after), place.stir)
        with trio.move_on_after(self._start_within):
            await worker.settled.wait()
        if not worker.serving:
            if not worker.failure:
                worker.failure = f"it did not serve within {self._start_within:g} s"
            with trio.move_on_after(ENDING if worker.settled.is_set() else 0):
                await worker.ended.wait()
            worker.kill()
            await worker.ended.wait()
            raise WorkerFailed(f"worker {worker.number} did not start: {worker.failure}")
        if self._all_serve:
            await worker.tell_all_serve()
        return worker

    async def _stock(self) -> None:
        async with self._stocking:
            if self._spare is None:
                self._spare = await self._fresh()

    async def _fresh(self) -> Worker:
        """Start a process that waits for its configuration."""
        taken = {worker.mark for worker in self._living}
        worker = Worker(next(n for n in range(len(taken) + 1) if n not in taken))
        self._living.add(worker)
        await self._processes.start(self._live, worker)
        return worker

    async def _live(self, worker: Worker, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self._spawn(worker, task_status=task_status)
        finally:
            # the mark is reused: counters continue, live gauges are removed
            mark_process_dead(worker.mark, self._metrics)  # type: ignore[no-untyped-call]
            self._living.discard(worker)
            worker.ended.set()
