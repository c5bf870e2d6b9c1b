"""One worker as its supervisor sees it: a process, what it reports, how it ends."""

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog
import trio

from relay.workers.protocol import ALL_SERVE, BEAT, Order, Report, spelled_out

log = structlog.get_logger("relay.workers")


class WorkerFailed(Exception):
    """A worker could not start, or did not end as it should; one line that says why."""


class Worker:
    """A fresh process that waits for an order, and carries that one out."""

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.number = 0  # none yet
        self.serving = False
        self.leaving = False
        self.silent = False  # it ended because it gave no sign of life
        self.settled = trio.Event()  # it serves, or it never will
        self.ended = trio.Event()
        self.told_to_go = False
        self.failure = ""
        self._stir: Callable[[], None] = lambda: None
        self._ordered = trio.current_time()
        self._process: trio.Process | None = None
        self._knows_all_serve = False
        self._silence = 0.0  # seconds since its last sign of life

    @property
    def how_it_went(self) -> str:
        """One word, of it that is leaving."""
        if self.silent:
            return "silent"
        return "died" if self.ended.is_set() else "left"

    @property
    def age(self) -> float:
        """Seconds since it got its order."""
        return trio.current_time() - self._ordered

    @property
    def clean(self) -> bool:
        """Whether it ended as it was told to; while starting, or without an order, that is easy."""
        if self._process is None:
            return True
        code = self._process.returncode
        return code in (0, -signal.SIGTERM) or (code == -signal.SIGKILL and not self.number)

    async def run(
        self,
        command: Sequence[str],
        descriptors: Sequence[int],
        environ: dict[str, str],
        silence: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """The whole life of the process, which does not outlive this.

        While it serves it is killed when it gives no sign of life for `silence` seconds.
        """
        with trio.CancelScope(shield=True):  # a process nobody knows of would stay
            process = await trio.lowlevel.open_process(
                [*command, f"--mark={self.mark}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=descriptors,
                env=environ,
            )
        self._process = process
        task_status.started()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            async with process.stdin, process.stdout, trio.open_nursery() as listening:
                listening.start_soon(self._mind, silence)
                await self._hear(process.stdout)
                await process.wait()
                listening.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                self.kill()
                await process.wait()
            self._gone(process)

    async def begin(self, order: Order, stir: Callable[[], None]) -> None:
        """Give it its order. `stir` is called when it starts to go."""
        assert self._process is not None
        assert self._process.stdin is not None
        self.number, self._stir, self._ordered = order.number, stir, trio.current_time()
        log.info("worker_started", worker=self.number, pid=self._process.pid)
        # broken: it ended already, closed: that was noticed already; its exit code tells why
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")

    async def tell_all_serve(self) -> None:
        """Once it serves: so do all others, and whoever asks may hear that Relay is ready."""
        if self._knows_all_serve:
            return
        self._knows_all_serve = True
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(ALL_SERVE)

    async def _mind(self, silence: float) -> None:
        """Kill it when its loop is stuck or it is stopped; who is told to go has its grace.

        Counted in looks of ours, not by the clock: who was paused together with us, by a debugger
        or a frozen container, could not speak.
        """
        while self._silence <= silence:
            await trio.sleep(BEAT)
            if self.serving and not (self.leaving or self.told_to_go):
                self._silence += BEAT
        self.silent = True
        self.failure = f"no sign of life for {silence:g} s"
        self.kill()

    async def _hear(self, reports: trio.abc.ReceiveStream) -> None:
        """Take in its reports until it has closed them, which the end of the process does."""
        unread = b""
        async for data in reports:
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                with suppress(msgspec.MsgspecError):  # printed before it knew where to report
                    self._heard(msgspec.json.decode(line, type=Report))

    def _heard(self, report: Report) -> None:
        self._silence = 0.0
        if report.state == "serving":
            assert self._process is not None
            log.info("worker_serves", worker=self.number, pid=self._process.pid)
            self.serving = True
            self.settled.set()
        elif report.state == "leaving":
            self.leaving = True
            self._stir()
        elif report.state == "failed":
            self.failure = report.reason
            self.settled.set()  # its end may take longer than anybody should wait

    def _gone(self, process: trio.Process) -> None:
        code = process.returncode
        self.failure = self.failure or _obituary(code)
        told = {"worker": self.number, "pid": process.pid, "code": code}
        if self.told_to_go and self.clean:
            log.log(logging.INFO if self.number else logging.DEBUG, "worker_ended", **told)
        else:
            log.error("worker_died", **told, reason=self.failure)
        self.leaving = True
        self.settled.set()
        self.ended.set()
        self._stir()

    def terminate(self) -> None:
        """Have it drain and end. Once: a host may tell every process by itself, too."""
        self.told_to_go = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def _obituary(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


def environment(metrics: str) -> dict[str, str]:
    """A worker's environment: the supervisor's without settings, which hold secrets."""
    ours = {*spelled_out(os.environ, {}), "NOTIFY_SOCKET"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PROMETHEUS_MULTIPROC_DIR": metrics}
