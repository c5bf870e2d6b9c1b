"""A terminal sends Ctrl-C and its hang-up to the workers, too, whatever they are doing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import trio

from relay.cli.serve import WORKER_COMMAND
from tests.support.patience import PATIENCE

IMPORTED = 7

# in the place of the first library that a worker imports
LONG_IMPORT = f"""
import os, sys
print("imports", flush=True)
sys.stdin.readline()
os._exit({IMPORTED})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_worker_that_still_imports_leaves_them_to_the_supervisor(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "prometheus_client.py").write_text(LONG_IMPORT)
    with trio.fail_after(PATIENCE):
        worker = await trio.lowlevel.open_process(
            [*WORKER_COMMAND, "--mark=0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        async with worker.stdin, worker.stdout:
            assert await worker.stdout.receive_some() == b"imports\n"
            worker.send_signal(number)
            await worker.stdin.send_all(b"\n")
            assert await worker.wait() == IMPORTED
