"""`make docs`: the documentation as a site, built strictly.

    python -m tests.support.documentation_site build/site

MkDocs builds one folder, and the pages link to files all over the checkout. So every file that can
be reached from README.md is first copied, in the same folders. A source file becomes a page that
shows its text.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).parents[2]
START = "README.md"
PICTURES = {".svg", ".webp"}

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)\s#]+")
_SOURCE = re.compile(r'(?:src|srcset)="(?![a-z]+:)([^"]+)"')


def main(site: Path) -> int:
    """Build the site into the folder given. Returns 1 if MkDocs warned of anything."""
    with TemporaryDirectory() as folder:
        copy_pages(ROOT, Path(folder) / "pages")
        return build(Path(folder), site).returncode


def copy_pages(root: Path, target: Path) -> None:
    """Copy what can be reached by links from README.md; a link that leads nowhere stays."""
    todo, done = [root / START], set[Path]()
    while todo:
        page = todo.pop()
        if page in done:
            continue
        done.add(page)
        copy = target / page.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            text = page.read_text()
            todo += reachable(page, text)
            copy.write_text(renamed(page.parent, text))
        elif page.suffix in PICTURES:
            shutil.copy(page, copy)
        else:
            copy.with_name(f"{copy.name}.md").write_text(shown(page))


def reachable(page: Path, text: str) -> Iterator[Path]:
    for name in (*_LINK.findall(text), *_SOURCE.findall(text)):
        path = (page.parent / name).resolve()
        if path.is_file():
            yield path


def renamed(folder: Path, text: str) -> str:
    """The text, with links to source files as links to the pages that show them."""

    def rename(link: re.Match[str]) -> str:
        path = folder / link[0]
        is_source = path.is_file() and path.suffix not in {".md", *PICTURES}
        return f"{link[0]}.md" if is_source else link[0]

    return _LINK.sub(rename, text)


def shown(source: Path) -> str:
    """A page with the text of a source file."""
    try:
        language = get_lexer_for_filename(source.name).aliases[0]
    except ClassNotFound:
        language = "text"
    fence = "`" * 6
    return f"# {source.name}\n\n{fence}{language}\n{source.read_text()}{fence}\n"


def build(folder: Path, site: Path, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Build `folder`/pages into `site`, strictly: exit code 1 after a warning."""
    config = folder / "mkdocs.yml"
    theme = ROOT / "docs/theme"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\ntheme:\n  custom_dir: {theme}\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # decision 85 has that date
    return subprocess.run([*command, "--site-dir", str(site.resolve())], env=environment, **options)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
