"""tests/README.md names the test of every room and every promise, and tests stand on their own."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
KINDS = ("unit", "integration", "e2e", "faults", "security", "browser", "docs")


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table below a heading of its first column."""
    _, _, rest = page.read_text().partition(f"\n| {heading} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_room_of_relay_names_its_tests() -> None:
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "relay").iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }
    rows = table(TESTS / "README.md", "in `relay/`")
    assert [room for row in rows for room in quoted(row[0])] == sorted(rooms)
    assert [row[0] for row in rows if not quoted(row[1])] == []


def test_every_promise_names_its_tests() -> None:
    guarantees = table(ROOT / "docs" / "explanation" / "guarantees.md", "guarantee")
    promises = [re.match(r"\*\*(.+?)\.?\*\*|([^*]+) means", row[0]) for row in guarantees]
    rows = table(TESTS / "README.md", "promise")
    assert [row[0] for row in rows] == [found[1] for found in promises if found]
    assert [row[0] for row in rows if not quoted(row[1])] == []
    for guarantee, row in zip(guarantees, rows, strict=True):
        named = {name.partition("::")[0] for name in quoted(row[1])}
        files = {name.removeprefix("tests/") for name in quoted(guarantee[-1])}
        assert named & files, row[0]


def test_every_named_test_exists() -> None:
    page = (TESTS / "README.md").read_text()
    folders = "|".join((*KINDS, "support"))
    named = [name for name in quoted(page) if re.match(rf"({folders})/\w", name)]
    assert len(named) > 100
    for name in named:
        path, _, function = name.partition("::")
        assert (TESTS / path).exists(), name
        assert not function or f"def {function}(" in (TESTS / path).read_text(), name


def test_every_folder_of_rooms_is_one_of_relays() -> None:
    """A room's tests have its name, so that they are found without a map."""
    rooms = {path.stem for path in (ROOT / "relay").iterdir()} | {"bench", "support"}
    folders = {
        path.name
        for kind in ("unit", "integration")
        for path in (TESTS / kind).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert folders <= rooms


def test_no_module_imports_from_a_test() -> None:
    """Helpers are in tests/support; a test module is imported by pytest alone."""
    found = []
    for path in [*TESTS.rglob("*.py"), *(ROOT / "bench").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            if any(name.startswith(tuple(f"tests.{kind}." for kind in KINDS)) for name in names):
                found.append(f"{path.relative_to(ROOT)}: {names[0]}")
    assert found == []
