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

from relay.workers.protocol import (
    ALL_SERVING_MESSAGE,
    HEARTBEAT_INTERVAL,
    Report,
    WorkerConfig,
    settings_environment,
)

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
        self.terminated = False
        self.failure = ""
        self._notify: Callable[[], None] = lambda: None
        self._configured_at = trio.current_time()
        self._process: trio.Process | None = None
        self._all_serving_sent = False
        self._silence = 0.0  # seconds since its last sign of life

    @property
    def end_reason(self) -> str:
        """One word for how it ended: `silent`, `died` or `left`."""
        if self.silent:
            return "silent"
        return "died" if self.ended.is_set() else "left"

    @property
    def age(self) -> float:
        """Seconds since it got its configuration."""
        return trio.current_time() - self._configured_at

    @property
    def ended_cleanly(self) -> bool:
        """Whether its exit code is as expected after SIGTERM, or after SIGKILL if unconfigured.

        A terminal sends its signals to the worker, too: they end one that does not ignore them yet.
        """
        if self._process is None:
            return True
        code = self._process.returncode
        return (
            code in (0, -signal.SIGTERM)
            or (code == -signal.SIGKILL and not self.number)
            or (code in (-signal.SIGINT, -signal.SIGHUP) and not self.serving)
        )

    async def run(
        self,
        command: Sequence[str],
        descriptors: Sequence[int],
        environ: dict[str, str],
        silence: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Start the process, read its reports, and wait for its end. Kills it if cancelled.

        A serving worker is killed after `silence` seconds without a report. Raises WorkerFailed if
        no process can be made: the system has no room for one, or the program is being replaced.
        """
        with trio.CancelScope(shield=True):  # a cancelled start could leave an unknown process
            try:
                process = await trio.lowlevel.open_process(
                    [*command, f"--mark={self.mark}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=descriptors,
                    env=environ,
                )
            except (OSError, RuntimeError) as error:  # the latter if there is no thread to make it
                raise WorkerFailed(f"no process could be made: {error}") from error
        self._process = process
        if self.terminated:  # while the process was made
            self.terminate()
        task_status.started()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            async with process.stdin, process.stdout, trio.open_nursery() as nursery:
                nursery.start_soon(self._kill_when_silent, silence)
                await self._read_reports(process.stdout)
                await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                self.kill()
                await process.wait()
            self._on_exit(process)

    async def configure(self, worker_config: WorkerConfig, notify: Callable[[], None]) -> None:
        """Send it its configuration. `notify` is called when it starts to leave."""
        assert self._process is not None
        assert self._process.stdin is not None
        self.number, self._notify, self._configured_at = (
            worker_config.number,
            notify,
            trio.current_time(),
        )
        log.info("worker_started", worker=self.number, pid=self._process.pid)
        # broken or closed: it has ended already, and its exit code is handled elsewhere
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(msgspec.json.encode(worker_config) + b"\n")

    async def send_all_serving(self) -> None:
        """Tell a serving worker that all others serve, so that /readyz may succeed."""
        if self._all_serving_sent:
            return
        self._all_serving_sent = True
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._process.stdin.send_all(ALL_SERVING_MESSAGE)

    async def _kill_when_silent(self, silence: float) -> None:
        """Kill it when its loop is stuck or the process is stopped, unless it is leaving.

        It counts its own sleeps instead of reading a clock: a worker that was paused together with
        the supervisor, by a debugger or a frozen container, is not silent.
        """
        while self._silence <= silence:
            await trio.sleep(HEARTBEAT_INTERVAL)
            if self.serving and not (self.leaving or self.terminated):
                self._silence += HEARTBEAT_INTERVAL
        self.silent = True
        self.failure = f"no sign of life for {silence:g} s"
        self.kill()

    async def _read_reports(self, reports: trio.abc.ReceiveStream) -> None:
        """Read its reports until the pipe is closed, at the latest by the end of the process."""
        unread = b""
        async for data in reports:
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                with suppress(msgspec.MsgspecError):  # printed before stdout was redirected
                    self._on_report(msgspec.json.decode(line, type=Report))

    def _on_report(self, report: Report) -> None:
        self._silence = 0.0
        if report.state == "serving":
            assert self._process is not None
            log.info("worker_serves", worker=self.number, pid=self._process.pid)
            self.serving = True
            self.settled.set()
        elif report.state == "leaving":
            self.leaving = True
            self._notify()
        elif report.state == "failed":
            self.failure = report.reason
            self.settled.set()  # its exit may take a while

    def _on_exit(self, process: trio.Process) -> None:
        code = process.returncode
        self.failure = self.failure or _describe_exit(code)
        log_fields = {"worker": self.number, "pid": process.pid, "code": code}
        if self.terminated and self.ended_cleanly:
            log.log(logging.INFO if self.number else logging.DEBUG, "worker_ended", **log_fields)
        else:
            log.error("worker_died", **log_fields, reason=self.failure)
        self.leaving = True
        self.settled.set()
        self.ended.set()
        self._notify()

    def terminate(self) -> None:
        """Send SIGTERM, to drain and end. Some hosts also signal every process by themselves."""
        self.terminated = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def environment(metrics: str) -> dict[str, str]:
    """A worker's environment: the supervisor's without settings, which may be secret."""
    hidden = {*settings_environment(os.environ, {}), "NOTIFY_SOCKET"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PROMETHEUS_MULTIPROC_DIR": metrics}
