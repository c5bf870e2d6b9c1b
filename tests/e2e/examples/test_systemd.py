"""`examples/systemd`: systemd reads the units, and what they start is reported as one task."""

import configparser
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.support.commands import run_command
from tests.support.programs import program
from tests.support.recipes import EXAMPLES, Machine

UNITS = EXAMPLES / "systemd"
SERVICES = ["backup.service", "relay-failed@.service"]
INVOCATION = "5b3b0c1f8f0e4a0c8d5f2f1c7b1f4e11"


def started_by(unit: str, **variables: str) -> list[str]:
    """The words of its ExecStart as systemd would hand them over, for the unit backup.service."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((UNITS / unit).read_text())
    assert parser["Service"]["EnvironmentFile"] == "/etc/relay/producer.env"
    line = re.sub("%[ni]", "backup.service", parser["Service"]["ExecStart"])
    words = shlex.split(line)
    assert words[0] == "/usr/local/bin/relay"
    return [re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], word) for word in words]


def command(machine: Machine, unit: str, **variables: str) -> list[str]:
    """The same with the programs of this machine."""
    words = started_by(unit, **variables)
    return [word.replace("/usr/local/bin", str(machine.home / "bin")) for word in words]


@pytest.mark.parametrize("unit", [*SERVICES, "backup.timer"])
async def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    for path in UNITS.glob("*.[st]*"):
        text = path.read_text().replace("/usr/local/bin/relay", sys.executable)
        (tmp_path / path.name).write_text(text)
    verify = (program("systemd-analyze", "systemd"), "verify", "--man=no")
    done = await run_command((*verify, tmp_path / unit.replace("@", "@backup.service")), tmp_path)
    output = (done.stdout + done.stderr).decode()
    assert (done.returncode, [line for line in output.splitlines() if str(tmp_path) in line]) == (
        0,
        [],
    )


async def test_a_run_is_a_task(machine: Machine) -> None:
    machine.script("bin/backup", "echo saved 3 files")
    done = await machine.run(*command(machine, "backup.service", INVOCATION_ID=INVOCATION))
    assert (done.returncode, done.stdout) == (0, b"saved 3 files\n"), "the journal has it, too"
    started, log, ended = await machine.published()
    assert {event["task_id"] for event in (started, log, ended)} == {f"backup.service-{INVOCATION}"}
    assert started["payload"] == {"title": "Nightly backup", "lease_s": 90}
    assert log["payload"]["message"] == "saved 3 files"
    assert ended["event_type"] == "task_succeeded"


async def test_a_killed_service_is_reported_as_the_same_task(machine: Machine) -> None:
    machine.script("bin/backup", "echo saving; exec sleep 3600")
    process = await trio.lowlevel.open_process(
        command(machine, "backup.service", INVOCATION_ID=INVOCATION),
        env=machine.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    async with machine.user.sse("?after=oldest") as stream:
        try:
            started, log = await stream.events(2)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # as systemd does to a whole unit
            await process.wait()
        assert (started["event_type"], log["payload"]["message"]) == ("task_started", "saving")
        monitor = {
            "MONITOR_INVOCATION_ID": INVOCATION,
            "MONITOR_SERVICE_RESULT": "oom-kill",
            "MONITOR_EXIT_CODE": "killed",
            "MONITOR_EXIT_STATUS": "KILL",
        }
        assert (
            await machine.run(*command(machine, "relay-failed@.service", **monitor))
        ).returncode == 0
        (ended,) = await stream.events(1)
    assert ended["task_id"] == started["task_id"] == f"backup.service-{INVOCATION}"
    assert (ended["event_type"], ended["payload"]) == (
        "task_failed",
        {"message": "oom-kill: killed KILL"},
    )
