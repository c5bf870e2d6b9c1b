"""`make chaos` tells what it did, and what broke."""

import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.accounts import Account, Attempt, Reader
from tests.support.chaos import __main__ as chaos_command
from tests.support.chaos.report import History, evidence, progress, table
from tests.support.chaos.run import Outcome


def a_user() -> Account:
    user = Account("u", "id", "session", "hook")
    user.acknowledged = {"u:p:0": 1, "u:p:1": 2, "u:p:2": None}
    user.spans = [(["u:p:2"], {"first_seq": 3, "last_seq": 3})]
    user.readers = [
        Reader("sse", hops=False, seen=[(1, "u:p:0"), (2, "u:p:1"), (3, "u:p:2")]),
        Reader("websocket", hops=True, seen=[(1, "u:p:0")], ends=[1013], refusals=[503]),
    ]
    return user


def a_history() -> History:
    history = History()
    history.note(4.0, "kill a Relay", "kill a Relay: b", 1.5)
    history.note(9.0, "kill a Relay", "kill a Relay: a", 2.0)
    return history


def test_progress_names_the_reader_that_is_furthest_behind_and_what_is_broken_now() -> None:
    line = progress(20.4, [a_user()], ["kill Postgres: db"], 12)
    assert line == (
        "   20 s        3 events, readers behind by 2 at most, 12 faults; now kill Postgres: db"
    )


def test_the_table_counts_faults_events_readers_and_answers() -> None:
    attempts = [Attempt(ended=True, status=status) for status in (200, 200, 503, None)]
    rows = [line.split() for line in table(a_history(), [a_user()], attempts).splitlines()]
    assert ["kill", "a", "Relay", "2", "4"] in rows
    assert ["u", "3", "3/1", "2"] in rows
    assert rows[-1] == ["posts:", "2", "200,", "1", "503,", "1", "no", "answer"]


def test_the_evidence_has_what_broke_the_faults_before_and_the_logs() -> None:
    lines = evidence([f"LOST {n}" for n in range(25)], a_history(), Path("/tmp/logs")).splitlines()
    assert lines[:2] == ["BROKEN PROMISES", "LOST 0"]
    assert "and 5 more" in lines
    assert "    2.5 to     4.0 s  kill a Relay: b" in lines
    assert lines[-1] == "logs of all processes: /tmp/logs"


@pytest.mark.parametrize("findings", [[], ["LOST: u:p:1"]])
def test_a_broken_promise_ends_with_1_and_keeps_the_logs(
    findings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    async def run(
        folder: Path, made: Path, seconds: float, seed: int, show: object, *, loopback: bool
    ) -> Outcome:
        (folder / "log").touch()
        return Outcome(findings, f"the report of seed {seed}", 1)

    async def make(folder: Path) -> Path:
        return folder

    monkeypatch.setattr(sys, "argv", ["chaos", "--seed", "7"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(chaos_command, "chaos", run)
    monkeypatch.setattr(chaos_command, "make_data", make)
    assert chaos_command.main() == len(findings)
    assert "the report of seed 7" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*/log"))) == len(findings)
