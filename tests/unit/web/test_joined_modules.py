"""Modules joined into one: each once, after its imports; unsupported syntax is refused."""

from pathlib import Path

import pytest

from relay.blueprints.console import _load
from relay.web.joined_modules import join_modules


def written(folder: Path, **modules: str) -> Path:
    """The modules as files: `entry` at the top, every other in parts/."""
    (folder / "entry").mkdir()
    for name, text in modules.items():
        place = folder if name == "entry" else folder / "entry"
        (place / f"{name}.js").write_text(text)
    return folder / "entry.js"


def test_each_module_appears_once_after_its_imports(tmp_path: Path) -> None:
    entry = written(
        tmp_path,
        entry="import { B } from './entry/b.js';\n\nexport { A } from './entry/a.js';\n"
        "export class Entry {}\n",
        b="import { A } from './a.js';\n/** @typedef {import('../types.d.ts').T} T */\n"
        "export class B extends A {}\n",
        a="export class A {}\nexport const N = 1;\nfunction f() {}\n",
    )
    assert join_modules(entry).decode() == (
        "// entry.js and its parts, joined; what a page imports stands last.\n\n"
        "// entry/a.js\nclass A {}\nconst N = 1;\nfunction f() {}\n\n"
        "// entry/b.js\nclass B extends A {}\n\n"
        "// entry.js\n\nexport { A };\nexport class Entry {}\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "import * as a from './a.js';",
        "import { A as B } from './entry/a.js';",
        "import './entry/a.js';",
        "import { A } from 'elsewhere';",
        "import {",
        "export default class {}",
        "export * from './entry/a.js';",
    ],
)
def test_unsupported_syntax_is_named(tmp_path: Path, line: str) -> None:
    entry = written(tmp_path, entry=f"const x = 1;\n{line}\n", a="export class A {}\n")
    with pytest.raises(ValueError, match=r"entry\.js:2 cannot be joined: "):
        join_modules(entry)


def test_a_part_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        join_modules(written(tmp_path, entry="import { A } from './entry/a.js';\n"))


def test_a_part_is_not_served_and_changes_the_etag_of_the_whole(tmp_path: Path) -> None:
    text = "import { A } from './entry/a.js';\nexport class Entry extends A {}\n"
    entry = written(tmp_path, entry=text, a="export class A {}\n")
    before = _load(tmp_path)
    assert list(before) == ["entry.js"]
    (entry.with_suffix("") / "a.js").write_text("export class A { changed = true; }\n")
    after = _load(tmp_path)
    assert (b"changed" in after["entry.js"].body, b"changed" in before["entry.js"].body) == (1, 0)
    assert after["entry.js"].etag != before["entry.js"].etag
