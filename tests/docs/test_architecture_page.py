"""The architecture page names the files of the rooms that it describes file by file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
ROOMS = ("asks", "channels", "projection", "tasks")


def named_files() -> set[str]:
    """The files in the tables. One without a folder is in that of the one before it in its cell.

    A cell without any is of the server's table.
    """
    found = set()
    for cell in re.findall(r"^\| (`[^|]+\.(?:py|sql)`[^|]*) \|", PAGE, re.MULTILINE):
        folder = "relay/server"
        for name in re.findall(r"`([^`]+)`", cell):
            folder = name.rpartition("/")[0] or folder
            found.add(f"{folder}/{name.rpartition('/')[2]}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_described_room_is_named(room: str) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "relay" / room).glob("*.py")}
    assert sorted(files - named_files() - {f"relay/{room}/__init__.py"}) == []


def test_every_named_file_exists() -> None:
    named = {name for name in named_files() if "…" not in name}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
