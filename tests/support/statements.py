"""The SQL of the project: of the functions in `relay/`, and of those in the database."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "sql" / "schema.sql").read_text()
IS_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
TABLES_OF_USERS = {
    name
    for name, columns in re.findall(
        r"^CREATE (?:UNLOGGED )?TABLE public\.(\w+) \((.*?)^\)", SCHEMA, re.MULTILINE | re.DOTALL
    )
    if "    user_id uuid" in columns
}
"""The tables whose rows belong to users."""


@cache
def statements() -> dict[str, list[str]]:
    """Texts of SQL, by the function that each is in, or the constant. They are not to be changed.

    Each process of a run reads them while it collects, so a module without SQL is not parsed.
    """
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "relay").rglob("*.py")):
        source = path.read_text()
        if not IS_SQL.search(source):
            continue
        module = ast.parse(source)
        for part in ast.walk(module):
            if isinstance(part, ast.AsyncFunctionDef | ast.FunctionDef):
                docstring = ast.get_docstring(part, clean=False)
                texts = [text for text in _texts(part) if text != docstring]
                found.setdefault(part.name, []).extend(texts)
        for constant in module.body:
            if isinstance(constant, ast.Assign) and isinstance(constant.targets[0], ast.Name):
                found.setdefault(constant.targets[0].id, []).extend(_texts(constant))
    for name, text in re.findall(
        r"^CREATE FUNCTION public\.(\w+)((?:(?!^CREATE).)*?)^\$\$;$",
        SCHEMA,
        re.MULTILINE | re.DOTALL,
    ):
        found.setdefault(name, []).append(text)
    return {name: texts for name, texts in found.items() if texts}


def _texts(part: ast.AST) -> list[str]:
    """The texts in there that are SQL; of an f-string its constant parts together."""
    joined = [node for node in ast.walk(part) if isinstance(node, ast.JoinedStr)]
    inner = {id(piece) for node in joined for piece in ast.walk(node) if piece is not node}
    texts = ["…".join(_constants(node.values)) for node in joined if id(node) not in inner]
    texts += _constants(node for node in ast.walk(part) if id(node) not in inner)
    return [text for text in texts if IS_SQL.search(text)]


def _constants(nodes: Iterable[ast.AST]) -> list[str]:
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str)]
