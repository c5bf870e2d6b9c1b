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
from relay.db.source import Source, bring_up_to_date, open_source, warn_about_few_connections
from relay.server.listeners import addresses, close_sockets, inherited_binds, open_for_workers
from relay.server_process import UNWIND_SECONDS, Announce, client_url
from relay.workers.protocol import WorkerConfig
from relay.workers.slots import WorkerSlot
from relay.workers.worker_process import Worker, WorkerFailed, environment

START_TIMEOUT_SECONDS = 60.0  # until a worker serves, even if the database is away for a while
EARLY_END_SECONDS = 10.0  # a worker that ends sooner has a fault that its successor shares
MAX_RETRY_SECONDS = 5.0  # between two attempts to replace a worker
EXIT_TIMEOUT_SECONDS = 2.0  # for a worker to exit by itself after it has reported its failure

log = structlog.get_logger("relay.workers")


async def supervise(
    settings: Settings,
    environ: dict[str, str],
    config: Config,
    command: Sequence[str],
    *,
    announce: Announce,
    stop: trio.Event,
    reloads: "trio.MemoryReceiveChannel[None]",
) -> None:
    """Serve with `settings.workers` processes of `command` until `stop`, then end them gracefully.

    `environ` has the variables from which the workers load the same settings. For each item of
    `reloads`, all workers are replaced one after the other. Raises what `serve_relay` does, and
    WorkerFailed if a worker cannot start at first, or does not end properly.
    """
    socket_sets = open_for_workers(config, settings.workers)
    try:
        base_url = settings.base_url or client_url(addresses(socket_sets[0])[0])
        async with open_source(settings) as source:
            if source.folder is None:
                await warn_about_few_connections(source.direct, settings)
            await bring_up_to_date(
                source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
            )
            slots = [
                WorkerSlot(_worker_config(number, environ, config, socket_sets, source, base_url))
                for number in range(1, settings.workers + 1)
            ]
            with tempfile.TemporaryDirectory(prefix="relay-metrics-") as metrics_folder:
                grace = settings.drain_delay + settings.drain_timeout + UNWIND_SECONDS
                silence = settings.worker_silence
                pool = WorkerPool(
                    slots, command, _descriptors(socket_sets), metrics_folder, grace, silence
                )
                async with trio.open_nursery() as nursery:
                    await nursery.start(pool.run)
                    nursery.start_soon(pool.reload_on, reloads)
                    nursery.start_soon(announce, base_url, source.description)
                    await stop.wait()
                    log.info("stopping", workers=len(slots))
                    await pool.end()
                    nursery.cancel_scope.cancel()
    finally:
        for sockets in socket_sets:
            close_sockets(sockets)


def _worker_config(
    number: int,
    environ: dict[str, str],
    config: Config,
    socket_sets: Sequence[Sockets],
    source: Source,
    base_url: str,
) -> WorkerConfig:
    own_sockets = socket_sets[number - 1]
    bind, insecure_bind = inherited_binds(config, own_sockets)
    return WorkerConfig(
        number=number,
        settings=environ,
        bind=bind,
        insecure_bind=insecure_bind,
        other_descriptors=_descriptors([one for one in socket_sets if one is not own_sockets]),
        base_url=base_url,
        dsn=source.dsn,
        direct=source.direct,
        keys=source.keys,
        database=source.description,
        folder=None if source.folder is None else str(source.folder.resolve()),
    )


def _descriptors(socket_sets: Sequence[Sockets]) -> list[int]:
    return [
        sock.fileno()
        for one in socket_sets
        for sock in (*one.secure_sockets, *one.insecure_sockets)
    ]


class WorkerPool:
    """The workers, one in each slot, and a spare one.

    The spare has imported everything and waits for its configuration, which saves most of a
    replacement's start-up time. A worker has `start_timeout` seconds to start serving and `grace`
    seconds to stop. It is killed after `silence` seconds without a report.
    """

    def __init__(
        self,
        slots: Sequence[WorkerSlot],
        command: Sequence[str],
        descriptors: Sequence[int],
        metrics_folder: str,
        grace: float,
        silence: float,
        start_timeout: float = START_TIMEOUT_SECONDS,
    ) -> None:
        self._slots = slots
        self._grace = grace
        self._start_timeout = start_timeout
        self._metrics_folder = metrics_folder
        # the spare's metrics are all 0; in a folder of their own they do not affect minima
        spare_folder = os.path.join(metrics_folder, "waiting")
        os.mkdir(spare_folder)
        self._spawn = partial(
            Worker.run,
            command=command,
            descriptors=descriptors,
            environ=environment(spare_folder),
            silence=silence,
        )
        self._all_serve = False
        self._spare: Worker | None = None
        self._spare_lock = trio.Lock()
        self._workers: set[Worker] = set()
        self._scope = trio.CancelScope()
        self._processes: trio.Nursery

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep every slot filled until `end()`. Reports through `task_status` when all serve.

        Raises WorkerFailed if a worker cannot start at first.
        """
        async with trio.open_nursery() as self._processes:
            try:
                with self._scope:
                    async with trio.open_nursery() as slot_tasks:
                        async with trio.open_nursery() as start_tasks:
                            for slot in self._slots:
                                start_tasks.start_soon(slot_tasks.start, self._run_slot, slot)
                        self._all_serve = True
                        for worker in [worker for worker in self._workers if worker.serving]:
                            await worker.send_all_serving()
                        await self._ensure_spare()
                        task_status.started()
            except* WorkerFailed:
                await self._terminate_all(list(self._workers))  # some may be serving already
                raise

    async def end(self) -> None:
        """Stop all workers at once, and wait until they have ended. Raises WorkerFailed."""
        self._scope.cancel()
        workers = list(self._workers)
        await self._terminate_all(workers)
        if failed := [worker for worker in workers if not worker.ended_cleanly]:
            failed_numbers = ", ".join(str(worker.number) for worker in failed)
            raise WorkerFailed(f"worker {failed_numbers} did not end properly: {failed[0].failure}")

    async def _terminate_all(self, workers: Sequence[Worker]) -> None:
        async with trio.open_nursery() as end_tasks:
            for worker in workers:
                worker.terminate()
                end_tasks.start_soon(self._wait_for_end, worker)

    async def _wait_for_end(self, worker: Worker) -> None:
        """Wait until a worker has ended, and kill it after its grace."""
        with trio.move_on_after(self._grace):
            await worker.ended.wait()
        worker.kill()
        await worker.ended.wait()

    async def reload_on(self, reloads: "trio.MemoryReceiveChannel[None]") -> None:
        """For each item, replace all workers one after the other, so that most keep serving."""
        async for _ in reloads:
            log.info("reloading", workers=len(self._slots))
            if self._spare is not None:  # it has imported the old code
                self._spare.terminate()
                self._spare = None
            for slot in self._slots:
                slot.reload_done = done = trio.Event()
                slot.notify()
                await done.wait()
            await self._ensure_spare()
            log.info("reloaded")

    async def _run_slot(self, slot: WorkerSlot, task_status: trio.TaskStatus[None]) -> None:
        """Keep a worker in this slot: replace it when it ends, and reload it on request."""
        worker = await self._start_worker(slot)
        task_status.started()
        early_ends = 0
        while True:
            await slot.wait_for_change()
            if worker.leaving:
                early_ends = early_ends + 1 if worker.age < EARLY_END_SECONDS else 0
                self._processes.start_soon(self._wait_for_end, worker)
                worker = await self._replace(slot, early_ends, worker.end_reason)
            if slot.reload_done is not None:
                worker = await self._reload(slot, worker)
                slot.finish_reload()

    async def _replace(self, slot: WorkerSlot, early_ends: int, predecessor_end: str) -> Worker:
        """Start a replacement: at once for the first failure, then with growing delays."""
        while True:
            if early_ends > 1:
                await trio.sleep(min(2.0 ** (early_ends - 3), MAX_RETRY_SECONDS))
            try:
                worker = await self._start_worker(slot, predecessor_end)
                await self._ensure_spare()
                return worker
            except WorkerFailed as error:
                log.error(
                    "worker_not_replaced", worker=slot.worker_config.number, reason=str(error)
                )
                early_ends += 1
                slot.finish_reload()  # the next worker is new anyway, so a reload can go on

    async def _reload(self, slot: WorkerSlot, old: Worker) -> Worker:
        """Replace a worker after the new one serves. If that one fails, the old one stays."""
        try:
            new = await self._start_worker(slot)
        except WorkerFailed as error:
            log.error("reload_failed", worker=slot.worker_config.number, reason=str(error))
            return old
        old.terminate()
        await self._wait_for_end(old)
        return new

    async def _start_worker(self, slot: WorkerSlot, predecessor_end: str = "") -> Worker:
        """Start a worker in this slot, and wait until it serves. Raises WorkerFailed."""
        worker, self._spare = self._spare, None
        if worker is None or worker.leaving:
            worker = await self._spawn_worker()
        await worker.configure(
            msgspec.structs.replace(slot.worker_config, predecessor_end=predecessor_end),
            slot.notify,
        )
        with trio.move_on_after(self._start_timeout):
            await worker.settled.wait()
        if not worker.serving:
            if not worker.failure:
                worker.failure = f"it did not serve within {self._start_timeout:g} s"
            with trio.move_on_after(EXIT_TIMEOUT_SECONDS if worker.settled.is_set() else 0):
                await worker.ended.wait()
            worker.kill()
            await worker.ended.wait()
            raise WorkerFailed(f"worker {worker.number} did not start: {worker.failure}")
        if self._all_serve:
            await worker.send_all_serving()
        return worker

    async def _ensure_spare(self) -> None:
        async with self._spare_lock:
            if self._spare is None:
                self._spare = await self._spawn_worker()

    async def _spawn_worker(self) -> Worker:
        """Start a process that waits for its configuration."""
        taken = {worker.mark for worker in self._workers}
        worker = Worker(next(n for n in range(len(taken) + 1) if n not in taken))
        self._workers.add(worker)
        await self._processes.start(self._run_worker, worker)
        return worker

    async def _run_worker(self, worker: Worker, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self._spawn(worker, task_status=task_status)
        finally:
            # the mark is reused: counters continue, live gauges are removed
            mark_process_dead(worker.mark, self._metrics_folder)  # type: ignore[no-untyped-call]
            self._workers.discard(worker)
            worker.ended.set()
