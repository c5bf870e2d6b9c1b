"""Every recipe is in the index, says what the page shows, and is run by a test."""

import re
from pathlib import Path

import pytest

from tests.support.recipes import EXAMPLES

HERE = Path(__file__).parent
CALLS = {"curl", "page"}  # tests/docs and tests/browser run these
RECIPES = sorted({path.name for path in EXAMPLES.iterdir() if path.is_dir()} - CALLS)
PAGES = sorted(EXAMPLES.rglob("README.md"))


def test_the_index_has_every_recipe() -> None:
    index = (EXAMPLES / "README.md").read_text()
    assert re.findall(r"^\| \[([\w-]+)\]\(\1/README\.md\) \|", index, re.MULTILINE)
    assert sorted(re.findall(r"\]\(([\w-]+)/README\.md\)", index)) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_documents_its_files_and_a_test_runs_them(recipe: str) -> None:
    folder = EXAMPLES / recipe
    readme = (folder / "README.md").read_text()
    files = {path.name for path in folder.iterdir() if path.is_file()}
    files -= {"README.md", "package-lock.json"}
    assert files
    assert [name for name in files if f"`{name}`" not in readme] == []
    assert "The page shows" in readme or "a card" in readme
    tests = "".join(path.read_text() for path in HERE.glob(f"test_{recipe.replace('-', '_')}*.py"))
    assert [name for name in files if name not in tests] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link
