"""The worker processes of a service: start, replace, reload and stop them."""

import os
from collections.abc import Sequence
from functools import partial

import msgspec
import structlog
import trio
from prometheus_client.multiprocess import mark_process_dead

from relay.workers.slots import WorkerSlot
from relay.workers.worker_process import Worker, WorkerFailed, environment

START_TIMEOUT_SECONDS = 60.0  # until a worker serves, even if the database is away for a while
EARLY_END_SECONDS = 10.0  # a worker that ends sooner has a fault that its successor shares
MAX_RETRY_SECONDS = 5.0  # between two attempts to replace a worker
EXIT_TIMEOUT_SECONDS = 2.0  # for a worker to exit by itself after it has reported its failure

log = structlog.get_logger("relay.workers")


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
        self.all_serve = trio.Event()
        self._spare: Worker | None = None
        self._spare_lock = trio.Lock()
        self._workers: set[Worker] = set()
        self._scope = trio.CancelScope()
        self._processes: trio.Nursery

    async def run(self) -> None:
        """Keep every slot filled until `end()`. Sets `all_serve` when all have started to serve.

        Raises WorkerFailed if a worker cannot start at first.
        """
        async with trio.open_nursery() as self._processes:
            try:
                with self._scope:
                    async with trio.open_nursery() as slot_tasks:
                        async with trio.open_nursery() as start_tasks:
                            for slot in self._slots:
                                start_tasks.start_soon(slot_tasks.start, self._run_slot, slot)
                        await self._ensure_spare()
                        self.all_serve.set()
                        for worker in [worker for worker in self._workers if worker.serving]:
                            await worker.send_all_serving()
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
        """For each item, replace all workers one after the other, so that most keep serving.

        A reload that is asked for before all serve begins then.
        """
        await self.all_serve.wait()
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
        if self.all_serve.is_set():
            await worker.send_all_serving()
        return worker

    async def _ensure_spare(self) -> None:
        """Have a spare, if one can be made: without it the next replacement takes longer."""
        async with self._spare_lock:
            if self._spare is None:
                try:
                    self._spare = await self._spawn_worker()
                except WorkerFailed as error:
                    log.error("no_spare", reason=str(error))

    async def _spawn_worker(self) -> Worker:
        """Start a process that waits for its configuration. Raises WorkerFailed."""
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
