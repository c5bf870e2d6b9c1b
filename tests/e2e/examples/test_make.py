"""`examples/make`: any target of a Makefile, watched."""

import pytest

from tests.support.programs import program
from tests.support.recipes import EXAMPLES, Machine, log_text

MAKEFILE = f"""
include {EXAMPLES}/make/watched.mk

build: ready
\t@echo built $(WHAT)
ready:
\t@echo '[ 50%] Getting ready'
broken:
\t@exit 7

# met only when both run at once
together: one two
one:
\t@echo here > one.pipe
two:
\t@cat one.pipe
"""


@pytest.fixture
def make(machine: Machine) -> str:
    (machine.home / "Makefile").write_text(MAKEFILE)
    return program("make")


async def test_a_target_is_watched(machine: Machine, make: str) -> None:
    done = await machine.run(make, "watched-build", "WHAT=it")
    assert (done.returncode, done.stderr) == (0, b"")
    inside = [line for line in done.stdout.splitlines() if b"directory" not in line]
    assert inside == [b"[ 50%] Getting ready", b"built it"]
    started, *events, ended = await machine.published()
    assert (started["event_type"], started["payload"]) == (
        "task_started",
        {"title": "make build", "lease_s": 90},
    )
    assert "[ 50%] Getting ready\nbuilt it" in log_text(events)
    (progress,) = (event for event in events if event["event_type"] == "task_progress")
    assert progress["payload"]["progress"] == 0.5
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_succeeded", 0)


async def test_a_failed_target_fails_make(machine: Machine, make: str) -> None:
    done = await machine.run(make, "watched-broken")
    assert done.returncode == 2
    ended = (await machine.published())[-1]
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_failed", 2)


async def test_parallel_jobs_stay_parallel(machine: Machine, make: str) -> None:
    await machine.run("mkfifo", "one.pipe")
    done = await machine.run(make, "-j2", "watched-together")
    assert (done.returncode, done.stderr) == (0, b""), "no warning of a lost jobserver"
    assert b"here" in done.stdout


async def test_without_relay_the_target_runs_unchanged(machine: Machine, make: str) -> None:
    (machine.home / "bin" / "relay").unlink()
    done = await machine.run(make, "watched-build", env={**machine.env, "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"built" in done.stdout
    assert await machine.published() == []


async def test_a_plain_make_is_unchanged(machine: Machine, make: str) -> None:
    done = await machine.run(make)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"built" in done.stdout, "the rule is included before the first target"
