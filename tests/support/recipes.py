"""A machine where recipes of examples/ are run: a home, a token, programs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio

from tests.support.patience import PATIENCE
from tests.support.relay_server import User

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENT = Path(__file__).parent / "scripts" / "patient_relay.py"
PATIENT_PYTHON = Path(__file__).parent / "scripts" / "patient"
Event = dict[str, Any]


class Machine:
    """A user's machine with `relay` in the `bin` of a home of its own."""

    def __init__(self, home: Path, user: User, hook: str) -> None:
        self.home = home
        self.user = user
        (home / "bin").mkdir()
        self.script("bin/relay", f'exec {sys.executable} {PATIENT} "$@"')
        self.script("bin/python", f'exec {sys.executable} "$@"')
        self.env = {
            "PATH": f"{home}/bin:/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": os.environ["TMPDIR"],
            "PYTHONPATH": str(PATIENT_PYTHON),
            "RELAY_URL": user.relay.url,
            "RELAY_TOKEN": hook,
        }

    def script(self, path: str, lines: str) -> Path:
        file = self.home / path
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o755)
        return file

    async def run(
        self,
        *command: str | Path,
        given: bytes = b"",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end and return its output, whatever its exit code."""
        with trio.fail_after(PATIENCE):
            return await trio.run_process(
                [str(word) for word in command],
                cwd=cwd or self.home,
                env=self.env if env is None else env,
                stdin=given,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                start_new_session=True,
            )

    async def published(self) -> list[Event]:
        """All events of the stream, in order; none is missing."""
        events: list[Event] = (await self.user.call("GET", "/api/events")).json()["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return events


def log_text(events: list[Event]) -> str:
    """The lines of the logs among them, as one text."""
    return "\n".join(
        event["payload"]["message"] for event in events if event["event_type"] == "log"
    )


def shape(events: list[Event]) -> list[tuple[str, Any]]:
    """The events, without what differs from run to run."""
    return [(event["event_type"], event["payload"].get("message")) for event in events]
