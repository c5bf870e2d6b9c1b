"""Each decision is a file with the same headings, and the index lists each file."""

import datetime
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs/explanation/decisions"
FILES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEADINGS = ["Context", "Decision", "Reasons", "Measurements", "Alternatives", "Consequences"]
REQUIRED = {"Context", "Decision", "Consequences"}
STATUS = re.compile(
    r"Accepted(?:(?:, (?:amended|extended) by|; replaces) \d+(?: and \d+)*)?|Replaced by \d+"
)


def number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def title(path: Path) -> str:
    return path.read_text().partition("\n")[0].removeprefix("# ")


def status(path: Path) -> str:
    """Without its links: `Replaced by 78`."""
    (line,) = re.findall(r"^- Status: (.*)$", path.read_text(), re.MULTILINE)
    return re.sub(r"\[(\d+)\]\([^)]*\)", r"\1", line)


def test_numbers_have_neither_holes_nor_duplicates() -> None:
    assert [number(path) for path in FILES] == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_decision_has_title_status_date_and_sections(path: Path) -> None:
    text = path.read_text()
    assert re.fullmatch(r"\d{4}-[a-z0-9]+(?:-[a-z0-9]+)*\.md", path.name)
    assert title(path).startswith(f"{number(path)}. ")
    assert STATUS.fullmatch(status(path))
    (date,) = re.findall(r"^- Date: (.*)$", text, re.MULTILINE)
    datetime.date.fromisoformat(date)
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == [heading for heading in HEADINGS if heading in sections]
    assert set(sections) >= REQUIRED


def named_by_status(verb: str) -> set[tuple[int, int]]:
    """The decision, and each that its status names after the verb."""
    return {
        (number(path), int(other))
        for path in FILES
        for other in re.findall(r"\d+", status(path).partition(verb)[2])
    }


def test_a_replaced_decision_and_its_replacement_name_each_other() -> None:
    replacements = {(old, new) for new, old in named_by_status("replaces")}
    assert named_by_status("Replaced by") == replacements


def test_the_index_lists_each_decision_once_by_its_title() -> None:
    index = (FOLDER / "README.md").read_text()
    listed = re.findall(r"^- \[(.+?)\]\(([\w-]+\.md)\)", index, re.MULTILINE)
    assert sorted(listed) == sorted((title(path), path.name) for path in FILES)


def test_the_index_shows_each_status_but_plain_accepted() -> None:
    index = re.sub(r"\[(\d+)\]\([^)]*\)", r"\1", (FOLDER / "README.md").read_text())
    lines = re.findall(r"^- \[.+?\]\(([\w-]+\.md)\)(?: \((.*)\))?$", index, re.MULTILINE)
    shown = {name: note or "accepted" for name, note in lines}
    assert shown == {path.name: status(path)[0].lower() + status(path)[1:] for path in FILES}
