"""Logging never blocks: not on an unread pipe, not in a flood of lines."""

import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
import trio

from relay.observability.logs import writer as module
from relay.observability.logs.rate_limit import MAX_KINDS, MAX_LINES_PER_SECOND, LineRateLimit
from relay.observability.logs.writer import MAX_WAITING_LINES, LineWriter
from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import bearer


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, "", 0, text, None, None)


def test_an_unread_pipe_drops_lines_and_blocks_no_caller(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lost: list[None] = []
    writer = LineWriter(writing, on_lost=lambda: lost.append(None))
    for _ in range(3 * MAX_WAITING_LINES):  # a wait for the pipe would never end
        writer.emit(record("x" * 99))
    assert (
        len(lost) > MAX_WAITING_LINES / 2
    )  # 64 KiB in the pipe, WAITING lines here, the rest nowhere
    taken = 0
    while taken + len(lost) < 3 * MAX_WAITING_LINES:  # every line was either read or counted
        data = os.read(reading, 65_536)
        assert set(data.decode()) == {"x", "\n"}
        taken += data.count(b"\n")
    writer.emit(record("after"))
    assert os.read(reading, 65_536) == b"after\n"
    writer.close()


def test_the_last_lines_are_written_at_the_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_SECONDS", PATIENCE)
    writer = LineWriter(pipe[1], on_lost=lambda: None)
    for number in range(100):
        writer.emit(record(str(number)))
    writer.close()
    assert os.read(pipe[0], 65_536).split() == [b"%d" % number for number in range(100)]


async def test_a_server_with_an_unread_log_pipe_goes_on(tmp_path: Path, database_url: str) -> None:
    env = environment(database_url, LOG_LEVEL="debug", RELAY_BIND="127.0.0.1:0")
    process = await trio.lowlevel.open_process(
        [*map(str, RELAY), "serve"],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # and never read
    )
    assert process.stdout is not None
    try:
        output = b""
        with trio.fail_after(PATIENCE):
            while not re.search(rb"listens on .*\n", output):
                output += await process.stdout.receive_some()
        url = output.decode().partition("listens on ")[2].partition(",")[0]
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            for _ in range(600):  # more than a pipe holds
                await http.get("/api/me", headers=bearer("bad"))
            assert (await http.get("/readyz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.stdout.aclose()
        assert process.stderr is not None
        await process.stderr.aclose()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_event_has_its_own_budget() -> None:
    clock, skipped = Clock(), list[None]()
    budget = LineRateLimit(lambda: skipped.append(None), clock)
    logger = logging.getLogger("relay.test")

    def log_line(**fields: object) -> dict[str, object] | None:
        try:
            written: dict[str, object] = budget(
                logger, "info", {"event": "request_ended", **fields}
            )
            return written
        except structlog.DropEvent:
            return None

    written = [log_line(status=401) for _ in range(MAX_LINES_PER_SECOND + 5)]
    assert sum(line is not None for line in written) == MAX_LINES_PER_SECOND
    assert len(skipped) == 5
    assert log_line(status=500) is not None
    clock.now = 1.0
    assert log_line(status=401) == {"event": "request_ended", "status": 401, "skipped": 5}
    assert log_line(status=401) == {"event": "request_ended", "status": 401}


def test_messages_of_libraries_share_a_budget() -> None:
    budget = LineRateLimit(lambda: None, Clock())
    admitted = sum(budget.admits(record(str(number))) for number in range(MAX_KINDS * 3))
    assert admitted == MAX_KINDS + MAX_LINES_PER_SECOND
