"""A worker's process, from the supervisor's side: start it, read its reports, end it."""

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
    """A worker could not start, or did not end properly. The message is one line."""


class Worker:
    """A new process that waits for its configuration, and then serves."""

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.number = 0  # until it is configured
        self.serving = False
        self.leaving = False
        self.silent = False  # it was killed because it sent no reports
        self.settled = trio.Event()  # set when it serves, or when it cannot
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
        """One word for how it ended: `silent`, `died` or `left`."""
        if self.silent:
            return "silent"
        return "died" if self.ended.is_set() else "left"

    @property
    def age(self) -> float:
        """Seconds since it got its configuration."""
        return trio.current_time() - self._ordered

    @property
    def clean(self) -> bool:
        """Whether its exit code is as expected after SIGTERM, or after SIGKILL if unconfigured."""
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
        """Start the process, read its reports, and wait for its end. Kills it if cancelled.

        A serving worker is killed after `silence` seconds without a report.
        """
        with trio.CancelScope(shield=True):  # a cancelled start could leave an unknown process
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
        """Send it its configuration. `stir` is called when it starts to leave."""
        assert self._process is not None
        assert self._process.stdin is not None
        self.number, self._stir, self._ordered = order.number, stir, trio.current_time()
        log.info("worker_started", worker=self.number, pid=self._process.pid)
        # broken or closed: it has ended already, and its exit code is handled elsewhere
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")

    async def tell_all_serve(self) -> None:
        """Tell a serving worker that all others serve, so that /readyz may succeed."""
        if self._knows_all_serve:
            return
        self._knows_all_serve = True
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(ALL_SERVE)

    async def _mind(self, silence: float) -> None:
        """Kill it when its loop is stuck or the process is stopped, unless it is leaving.

        It counts its own sleeps instead of reading a clock: a worker that was paused together with
        the supervisor, by a debugger or a frozen container, is not silent.
        """
        while self._silence <= silence:
            await trio.sleep(BEAT)
            if self.serving and not (self.leaving or self.told_to_go):
                self._silence += BEAT
        self.silent = True
        self.failure = f"no sign of life for {silence:g} s"
        self.kill()

    async def _hear(self, reports: trio.abc.ReceiveStream) -> None:
        """Read its reports until the pipe is closed, at the latest by the end of the process."""
        unread = b""
        async for data in reports:
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                with suppress(msgspec.MsgspecError):  # printed before stdout was redirected
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
            self.settled.set()  # its exit may take a while

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
        """Send SIGTERM, to drain and end. Some hosts also signal every process by themselves."""
        self.told_to_go = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def _obituary(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def environment(metrics: str) -> dict[str, str]:
    """A worker's environment: the supervisor's without settings, which may be secret."""
    ours = {*spelled_out(os.environ, {}), "NOTIFY_SOCKET"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PROMETHEUS_MULTIPROC_DIR": metrics}
