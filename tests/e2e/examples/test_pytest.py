"""`examples/pytest`: a pytest run is one task, with and without workers, and runs unchanged."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.recipes import EXAMPLES, Machine, log_text, shape

SUITE = """
import pytest

def test_one(): pass

@pytest.mark.parametrize("number", range(4))
def test_many(number): assert number != 2, "two is wrong"

def test_left_out(): pytest.skip("not today")

@pytest.fixture
def broken(): raise RuntimeError("no ground to stand on")

def test_without_ground(broken): pass
"""
RESULT = {"4 passed", "2 failed", "1 skipped"}


ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the tester's own plugins take their time


@pytest.fixture
def suite(machine: Machine) -> Path:
    machine.env |= ALONE
    folder = machine.home / "suite"
    folder.mkdir()
    (folder / "test_it.py").write_text(SUITE)
    shutil.copy(EXAMPLES / "pytest" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


def pytest_in(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *arguments]


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_a_run_is_one_task(machine: Machine, suite: Path, workers: str) -> None:
    done = await machine.run(*pytest_in("-p", "xdist", "-n", workers), cwd=suite)
    assert done.returncode == 1, done.stdout
    assert done.stderr == b""
    assert b"1 failed, 4 passed, 1 skipped, 1 error" in re.sub(b"\x1b\\[\\d*m", b"", done.stdout)

    started, *events, ended = await machine.published()
    assert (started["event_type"], started["payload"]) == (
        "task_started",
        {"title": f"pytest -p xdist -n {workers}", "lease_s": 90},
    )
    assert {event["task_id"] for event in events} == {started["task_id"]} == {ended["task_id"]}

    failures = log_text(events)
    assert re.findall(r"^FAILED (\S+)$", failures, re.MULTILINE) in (
        ["test_it.py::test_many[2]", "test_it.py::test_without_ground"],
        ["test_it.py::test_without_ground", "test_it.py::test_many[2]"],
    )
    assert "two is wrong" in failures
    assert "no ground to stand on" in failures
    assert {e["payload"].get("level") for e in events if e["event_type"] == "log"} == {"error"}

    steps = [e["payload"]["progress"] for e in events if e["event_type"] == "task_progress"]
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert ended["event_type"] == "task_failed"
    assert set(ended["payload"]["message"].split(", ")) == RESULT
    assert ended["payload"]["exit_code"] == 1


async def test_a_collection_error_is_reported(machine: Machine, suite: Path) -> None:
    (suite / "test_it.py").write_text("import nothing_like_it")
    done = await machine.run(*pytest_in(), cwd=suite)
    assert done.returncode == 2
    (_, failure, ended) = await machine.published()
    assert "No module named 'nothing_like_it'" in failure["payload"]["message"]
    assert shape([ended]) == [("task_failed", "interrupted")]


async def test_as_a_plugin_it_reports_a_passed_run(machine: Machine, suite: Path) -> None:
    (suite / "conftest.py").rename(suite / "relay_pytest.py")
    done = await machine.run(
        *pytest_in("-p", "relay_pytest", "-k", "one"),
        cwd=suite,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    ended = (await machine.published())[-1]
    assert shape([ended]) == [("task_succeeded", "1 passed")]


async def test_without_relay_a_run_is_unchanged(suite: Path, tmp_path: Path, away: str) -> None:
    bare = {
        **ALONE,
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": os.environ["TMPDIR"],
    }
    quiet = await run_command(pytest_in("-q"), suite, bare)
    assert (quiet.returncode, quiet.stderr) == (1, b"")

    unheard = await run_command(
        pytest_in("-q"), suite, {**bare, "RELAY_URL": away, "RELAY_TOKEN": "t"}
    )
    assert unheard.returncode == 1
    assert re.match(rb"relay: \d+ events not delivered yet, saved for the next run", unheard.stderr)

    (suite / "relay.py").write_text("raise ImportError('there is no relay')")
    absent = await run_command(pytest_in("-q"), suite, {**bare, "RELAY_TOKEN": "t"})
    assert (absent.returncode, absent.stderr) == (1, b"")

    def summary(log_text: bytes) -> bytes:
        return re.sub(rb" in [\d.]+s", b"", log_text.splitlines()[-1])

    assert summary(quiet.stdout) == summary(unheard.stdout) == summary(absent.stdout)
