"""`make chaos`, for half a minute, and ended by Ctrl-C. Ten minutes of it are for people."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.chaos.run import chaos

ROOT = Path(__file__).parents[2]
SECONDS = 20
SEED = 297  # of so short a run, one in which everything dies once, and ways to it are cut


async def test_processes_die_and_ways_close_at_random_and_nothing_is_lost(
    tmp_path: Path, made_data: Path
) -> None:
    shown: list[str] = []
    outcome = await chaos(tmp_path, made_data, SECONDS, seed=SEED, show=shown.append)
    assert not outcome.findings, outcome.report
    assert outcome.revokes, outcome.report
    assert any("events, readers behind by" in line for line in shown)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    command = ["-m", "tests.support.chaos", "--seconds", "600", "--loopback"]
    run = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        try:
            for line in run.stdout:
                if "faults begin" in line:
                    break
            run.send_signal(signal.SIGINT)
            last = run.stdout.read().splitlines()[-1]
            assert (run.wait(), last) == (130, "ended before the reckoning")
        finally:
            run.kill()
    assert list(tmp_path.iterdir()) == []
    assert not [process for process in psutil.process_iter() if works_in(process, tmp_path)]


def works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder) or str(folder) in process.cmdline()
    except psutil.Error:
        return False
