"""`examples/cron`: the line is run as cron runs it, which has almost no environment."""

import json
import re
import subprocess

import pytest
import trio

from tests.support.commands import RELAY
from tests.support.patience import PATIENCE
from tests.support.recipes import EXAMPLES, Machine, log_text
from tests.support.relay_server import Relay, User

LINES = (EXAMPLES / "cron" / "crontab").read_text().splitlines()


def line() -> str:
    """The command of the only job: five fields of time stand before it."""
    (job,) = (text for text in LINES if re.match(r"[\d*]", text))
    command = job.split(maxsplit=5)[5]
    assert "%" not in command, "cron would end the command there"
    return command


class Cron:
    """Runs the line at home, by /bin/sh, and keeps what it would mail."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        local = machine.home / ".local"
        local.mkdir()
        (machine.home / "bin").rename(local / "bin")
        (machine.home / "bin").mkdir()

    async def night(self) -> str:
        home = str(self.machine.home)
        env = {"PATH": "/usr/bin:/bin", "HOME": home, "LOGNAME": "you", "SHELL": "/bin/sh"}
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                ["/bin/sh", "-c", line()],
                env=env,
                cwd=home,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                start_new_session=True,
            )
        return done.stdout.decode()


@pytest.fixture
def cron(machine: Machine) -> Cron:
    return Cron(machine)


async def logged_in(machine: Machine, relay: Relay) -> User:
    """`relay login`, once and by hand; the test reads the events of the user that it made."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(machine.home)}
    command = [str(machine.home / ".local" / "bin" / "relay"), "login", relay.url]
    with trio.fail_after(PATIENCE):
        await trio.run_process(command, env=env, capture_stdout=True, capture_stderr=True)
    kept = json.loads((machine.home / ".config" / "relay" / "credentials.json").read_text())
    return User(relay, "", kept["relays"][relay.url]["session_token"])


async def test_a_successful_job_is_shown_and_prints_nothing(
    machine: Machine, cron: Cron, relay: Relay
) -> None:
    machine.user = await logged_in(machine, relay)
    machine.script("bin/backup", "echo saved 3 files; echo careful >&2")
    assert await cron.night() == ""
    started, *logs, ended = await machine.published()
    assert (started["event_type"], started["payload"]) == (
        "task_started",
        {"title": "Nightly backup", "lease_s": 90},
    )
    assert log_text(logs) == "saved 3 files\ncareful"
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_succeeded", 0)


async def test_a_failed_job_is_shown_and_mailed(machine: Machine, cron: Cron, relay: Relay) -> None:
    machine.user = await logged_in(machine, relay)
    machine.script("bin/backup", "echo saving; echo disk full >&2; exit 28")
    assert await cron.night() == "saving\ndisk full\n"
    ended = (await machine.published())[-1]
    assert (ended["event_type"], ended["payload"]["exit_code"]) == ("task_failed", 28)


async def test_a_missing_command_is_mailed(machine: Machine, cron: Cron) -> None:
    assert "backup: command not found" in await cron.night()
    (machine.home / ".local" / "bin" / "relay").unlink()
    assert "relay: not found" in await cron.night()


async def test_an_unreachable_relay_sends_no_mail(machine: Machine, cron: Cron, away: str) -> None:
    # it waits as long as people's does
    machine.script(".local/bin/relay", f'exec {" ".join(RELAY)} "$@"')
    folder = machine.home / ".config" / "relay"
    folder.mkdir(parents=True)
    kept = folder / "credentials.json"
    kept.write_text(json.dumps({"url": away, "relays": {away: {"hook_token": "t"}}}))
    kept.chmod(0o600)
    machine.script("bin/backup", "touch done")
    assert await cron.night() == ""
    assert (machine.home / "done").exists()
