"""A small disk goes with the test run that mounted it, and what other runs left stops none."""

import getpass
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.patience import eventually
from tests.support.tmpfs import tmpfs

ROOT = Path(__file__).parents[3]
MOUNTS = """
import sys, pathlib
from tests.support.tmpfs import tmpfs
with tmpfs(pathlib.Path(sys.argv[1]), "size=1m"):
    print("mounted", flush=True)
    sys.stdin.read()
"""


def mounted_by_a_killed_run(place: Path) -> bool:
    """Whether it was mounted when the run was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", MOUNTS, str(place)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"mounted\n"
        was_mounted = place.is_mount()
        os.killpg(run.pid, signal.SIGKILL)
    return was_mounted


async def test_a_killed_test_run_leaves_no_mount(tmp_path: Path) -> None:
    with tmpfs(tmp_path, "size=1m"):  # or the test is skipped
        place = tmp_path / "disk"
        place.mkdir()
        assert mounted_by_a_killed_run(place)
        await eventually(lambda: not place.is_mount())


def test_a_folder_of_another_run_that_cannot_be_removed_fails_no_run(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text("def test_one(tmp_path): pass\n")
    runs = tmp_path / "runs"
    kept = runs / f"pytest-of-{getpass.getuser()}" / "garbage-of-another" / "disk"
    kept.mkdir(parents=True)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "test_inner.py"]
    with tmpfs(kept, "size=1m"):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(runs)},
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"1 passed" in done.stdout
