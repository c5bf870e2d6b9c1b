"""The systemd unit: systemd reads it, and its command serves and stops."""

import configparser
import re
import shlex
import sys
from pathlib import Path

import pytest

from relay.config.settings import Settings
from tests.support.commands import complaints, environment, run_command, running
from tests.support.patience import eventually
from tests.support.programs import program

UNIT = Path(__file__).parents[3] / "ops" / "systemd" / "relay.service"


@pytest.fixture
def service() -> configparser.SectionProxy:
    """Its [Service] section; a key that is given twice would fail here."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser["Service"]


async def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/relay/bin/relay", sys.executable))
    verified = await run_command(
        (program("systemd-analyze", "systemd"), "verify", "--man=no", unit), tmp_path
    )
    output = verified.stderr.decode() + verified.stdout.decode()
    assert (verified.returncode, [line for line in output.splitlines() if str(unit) in line]) == (
        0,
        [],
    )


def test_the_stop_timeout_exceeds_the_drain_and_ends_all_processes(
    service: configparser.SectionProxy,
) -> None:
    # twice the drain: the workers' after the supervisor's order, and Postgres after them
    assert int(service["TimeoutStopSec"]) >= 2 * Settings().drain_timeout
    # only Relay itself is asked: its Postgres and its workers must outlive its goodbye
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "always"
    assert int(service["LimitNOFILE"]) > 2 * Settings().max_connections


async def test_the_units_command_serves_and_stops_cleanly(
    service: configparser.SectionProxy, tmp_path: Path
) -> None:
    state = tmp_path / "relay"  # what StateDirectory makes before the start
    state.mkdir(mode=int(service["StateDirectoryMode"], 8))
    (name, folder) = re.fullmatch(r"(\w+)=(\S+)", service["Environment"]).groups()  # type: ignore[union-attr]
    assert folder == service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    binary, *arguments = shlex.split(service["ExecStart"])
    assert binary == "/opt/relay/bin/relay"
    command = (sys.executable, "-m", "relay.cli.main", *arguments)
    env = environment(**{name: str(state), "RELAY_BIND": "127.0.0.1:0"})
    async with running(command, state, env) as relay:
        ready = f"{await relay.url()}/readyz"
        await relay.answers(ready)
        kill, option, pid = shlex.split(service["ExecReload"])
        assert (kill, pid) == ("/bin/kill", "$MAINPID")
        await run_command((kill, option, str(relay.process.pid)), state)
        await eventually(lambda: "reload_ignored" in (state / "stderr.log").read_text())
        await relay.answers(ready)
        relay.process.terminate()
        assert await relay.ended() == 0
    assert (state / "postgres").is_dir()
    assert complaints((state / "stderr.log").read_text()) == []
