"""The page's modules are short and have no import circles."""

import graphlib
import re
from pathlib import Path

import relay

CONSOLE = Path(relay.__file__).parent / "console"
MODULES = {path: path.read_text("utf-8") for path in sorted(CONSOLE.rglob("*.js"))}
MOST_LINES = 300
IMPORT = re.compile(
    r"^(?:(?:import|export) .* from |/\*\* @typedef \{import\()'(\.\.?/[\w./-]+\.js)'", re.M
)


def test_no_module_is_long() -> None:
    lines = {path.name: len(text.splitlines()) for path, text in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {
        path: {(path.parent / name).resolve() for name in IMPORT.findall(text)}
        for path, text in MODULES.items()
    }
    assert all(found in MODULES for names in imports.values() for found in names)
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError
