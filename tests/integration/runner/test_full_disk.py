"""A full disk below the output of `relay run`: the command goes on, and all of it is published."""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.patience import PATIENCE
from tests.support.stand_in import StandIn
from tests.support.terminals import piped
from tests.support.tmpfs import tmpfs
from tests.support.watched_runs import lines, run

REASON = "stdout is not written: No space left on device"


@asynccontextmanager
async def running(script: str, env: dict[str, str], full: str) -> AsyncIterator[trio.Process]:
    """A shell script under `relay run`, with stdout or stderr on a full disk."""
    disk = os.open("/dev/full", os.O_WRONLY)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, full: disk}
    try:
        process = await trio.lowlevel.open_process(
            run("sh", "-c", script),
            env=env,
            stdin=subprocess.PIPE,
            start_new_session=True,
            **streams,
        )
    finally:
        os.close(disk)
    try:
        with trio.fail_after(PATIENCE):
            yield process
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            await stream.aclose()


async def stored(stand_in: StandIn, text: str) -> None:
    await trio.to_thread.run_sync(stand_in.has_stored, text)


@pytest.mark.parametrize(("code", "shown", "message"), [(0, 1, REASON), (3, 3, None)])
async def test_a_command_whose_stdout_is_refused_goes_on(
    stand_in: StandIn, env: dict[str, str], code: int, shown: int, message: str | None
) -> None:
    """It has not heard of the refusal, so its 0 does not say that its output is there."""
    script = f"echo one; read _; echo two; exit {code}"
    async with running(script, env, "stdout") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        notes = b""
        while b"\n" not in notes:  # while the command runs
            more = await process.stderr.receive_some()
            assert more, "it ended instead"
            notes += more
        await process.stdin.send_all(b"\n")
        notes += b"".join([block async for block in process.stderr])
        assert await process.wait() == shown
    assert notes.decode() == f"relay: {REASON}; the command goes on\n" * 2  # and at the end
    assert stand_in.log_lines() == ["one", "two"]
    ended = stand_in.events[-1]
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_failed", shown)
    assert ended["payload"].get("message") == message


async def test_a_command_whose_stderr_is_refused_goes_on(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    script = "echo one >&2; read _; echo two >&2; echo result"
    async with running(script, env, "stderr") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await stored(stand_in, "one")
        await process.stdin.send_all(b"\n")
        assert b"".join([block async for block in process.stdout]) == b"result\n"
        assert await process.wait() == 0
    assert lines(stand_in.events, "stderr") == ["one", "two"]
    assert stand_in.events[-1]["event_type"] == "task_succeeded"


async def test_what_a_disk_still_takes_is_written(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    with tmpfs(tmp_path, "size=64k"):
        log = tmp_path / "log"
        with log.open("wb") as file:
            given = {"capture_stdout": False, "stdout": file}
            done = await piped(run("seq", "50000"), env, **given)
        written = log.read_bytes()
    everything = [str(number) for number in range(1, 50_001)]
    assert done.returncode == 1
    assert len(written) == 64 * 2**10
    assert "\n".join(everything).encode().startswith(written)
    assert stand_in.log_lines() == everything
