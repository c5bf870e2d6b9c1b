"""Constants of Relay that tests alter in their own process, by assigning to its modules.

They say nothing of a Relay in another process. A test that imported one got Relay's value, or the
altered one, by which module was imported first.
"""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
ALTERS = re.compile(r"^\w+\.([A-Z][A-Z_]+) = ", re.MULTILINE)


def test_no_test_imports_a_constant_that_tests_alter() -> None:
    texts = {path: path.read_text() for path in TESTS.rglob("*.py")}
    altered = {name for text in texts.values() for name in ALTERS.findall(text)}
    assert "TRUST_SECONDS" in altered
    importing = {
        (path.name, name)
        for path, text in texts.items()
        for name in altered
        if name in text and name in _imported_of_relay(text)
    }
    assert not importing


def _imported_of_relay(text: str) -> set[str]:
    """The names that a module imports from modules of Relay."""
    return {
        name.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relay.")
        for name in node.names
    }
