"""Counted instructions are compared with the recorded ones, and slower records are explained."""

import json
from pathlib import Path

import pytest

from bench.instructions import __main__ as command
from bench.instructions.comparison import (
    Part,
    Record,
    Recorded,
    changelog_line,
    slowed,
    table,
    unexplained,
)
from bench.instructions.operations import OPERATIONS
from bench.instructions.page import PAGE, RECORD, filled, read_record
from bench.instructions.parts import PARTS

RECORD_OF_ONE = Record("3.11.7 x86_64", {"post": Recorded(1_000_000, 1_000_000)}, {})


@pytest.mark.parametrize(
    ("counted", "complaints"),
    [
        ({"post": 500_000}, []),
        ({"post": 1_100_000}, []),
        ({"post": 1_100_001}, ["`post` takes 10% more instructions than recorded"]),
        ({"post": 1_260_000}, ["`post` takes 26% more instructions than recorded"]),
        ({"post": 1_000_000, "new": 5}, ["`new` is not recorded yet"]),
    ],
)
def test_more_than_a_tenth_is_a_complaint(counted: dict[str, int], complaints: list[str]) -> None:
    assert slowed(counted, RECORD_OF_ONE) == complaints


def test_small_steps_add_up_until_they_are_explained() -> None:
    """A record is compared with the least one ever, not with the one before it."""
    record = RECORD_OF_ONE
    for count in (1_090_000, 1_180_000):
        assert slowed({"post": count}, record) == []
        record = record.renewed(record.python, {"post": count}, {})
    (line,) = unexplained(record, "# Changelog\n\n**Slower.** Something else.\n")
    assert line == "`post` takes 1 180 000 instructions instead of 1 000 000"
    assert unexplained(record, f"**Slower.** {line}, since events are signed.\n") == []
    assert unexplained(record, f"**Slower.**\n- {line}\n- other\n\n**Speed.** Fast.\n") == []
    assert unexplained(record, f"**Slower.** Other.\n\n**Speed.** {line}\n") == [line]
    assert unexplained(record, f"**Slower.** Other.\n\n## 0.1.0\n\n{line}\n") == [line]


def test_a_slower_record_within_the_tolerance_needs_no_line() -> None:
    record = RECORD_OF_ONE.renewed(RECORD_OF_ONE.python, {"post": 1_100_000}, {})
    assert record.operations["post"] == Recorded(1_100_000, 1_000_000)
    assert unexplained(record, "") == []


def test_a_faster_record_is_the_least() -> None:
    parts = {"a part": Part(7, 1.5)}
    record = RECORD_OF_ONE.renewed(RECORD_OF_ONE.python, {"post": 900_000}, parts)
    assert record == Record("3.11.7 x86_64", {"post": Recorded(900_000, 900_000)}, parts)


def test_the_record_of_another_python_starts_anew() -> None:
    record = RECORD_OF_ONE.renewed("3.14.0 x86_64", {"post": 2_000_000}, {})
    assert record == Record("3.14.0 x86_64", {"post": Recorded(2_000_000, 2_000_000)}, {})


def test_the_table_shows_both_counts_and_their_ratio() -> None:
    rows = table({"post": 1_234_567, "new": 89_012}, RECORD_OF_ONE).splitlines()[1:]
    assert [row.split() for row in rows] == [
        ["post", "1", "234", "600", "1", "000", "000", "1.235"],
        ["new", "89", "000"],
    ]


def run_command(
    monkeypatch: pytest.MonkeyPatch, counted: dict[str, int], *arguments: str
) -> str | int | None:
    """What the command ends with, of these counts."""
    monkeypatch.setattr(command, "count_instructions", lambda *, parts: {} if parts else counted)
    monkeypatch.setattr(command, "time_parts", dict)
    monkeypatch.setattr("sys.argv", ["bench.instructions", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A record of this Python, a page and a changelog, which the command uses."""
    path, page, changelog = (tmp_path / name for name in ("recorded.json", "page", "changes"))
    text = {
        "python": command.HERE,
        "operations": {"post": {"instructions": 1_000_000, "least": 1_000_000}},
        "parts": {},
    }
    path.write_text(json.dumps(text))
    page.write_text("<!-- instructions: operations -->\n<!-- instructions -->\n")
    changelog.write_text("")
    monkeypatch.setattr("bench.instructions.page.RECORD", path)
    monkeypatch.setattr("bench.instructions.page.PAGE", page)
    monkeypatch.setattr(command, "CHANGELOG", changelog)
    return tmp_path


@pytest.mark.usefixtures("recorded")
def test_the_command_fails_past_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(monkeypatch, {"post": 1_050_000}) == 0
    complaint = run_command(monkeypatch, {"post": 1_500_000})
    assert complaint == "`post` takes 50% more instructions than recorded"


def test_a_slower_record_fails_until_the_changelog_has_its_line(
    monkeypatch: pytest.MonkeyPatch, recorded: Path
) -> None:
    complaint = run_command(monkeypatch, {"post": 1_500_000}, "--record")
    line = changelog_line("post", Recorded(1_500_000, 1_000_000))
    assert complaint == f"CHANGELOG.md lacks under **Slower.**: {line}"
    assert "| post | 1 500 000 |" in (recorded / "page").read_text()
    assert run_command(monkeypatch, {"post": 1_500_000}) == complaint
    (recorded / "changes").write_text(f"**Slower.** {line}.\n")
    assert run_command(monkeypatch, {"post": 1_500_000}) == 0


def test_another_python_is_not_compared(
    monkeypatch: pytest.MonkeyPatch, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded / "recorded.json"
    path.write_text(path.read_text().replace(command.HERE, "3.99.0 z80"))
    assert run_command(monkeypatch, {"post": 9_000_000}) == 0
    assert "not compared" in capsys.readouterr().out


def test_everything_that_is_counted_is_recorded_and_on_the_page() -> None:
    record = read_record()
    assert list(record.operations) == list(OPERATIONS)
    assert list(record.parts) == list(PARTS)
    assert filled(PAGE.read_text(), record) == PAGE.read_text()
    assert RECORD.read_bytes().endswith(b"}\n")
