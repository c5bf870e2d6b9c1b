"""Programs are not people: identifiers, docstrings and comments use plain words.

Texts for people (strings that are no docstring) may speak of people.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("relay", "tests", "bench")
WORDS = {"who", "whom", "whoever", "somebody", "someone", "nobody", "anybody", "told", "said"} | {
    "door",  # for a transport
    "doors",
}
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of an identifier or a sentence
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def used(text: str) -> set[str]:
    """The words of the list that `text` has, also as parts of snake_case and CamelCase."""
    return WORDS & {part.lower() for part in PARTS.findall(text)}


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Those of modules, classes, functions, and the strings below a field or a constant."""
    for node in ast.walk(tree):
        for child in getattr(node, "body", ()) if isinstance(node, DOCUMENTED) else ():
            match child:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield child.lineno, text


def found(source: str) -> list[str]:
    """Each place of a word of the list, as `line: word`."""
    if not used(source):  # most have none: to read their tokens would take seconds
        return []
    places = [
        (token.start[0], word)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in (tokenize.NAME, tokenize.COMMENT)
        for word in used(token.string)
    ]
    places += [(line, word) for line, text in docstrings(ast.parse(source)) for word in used(text)]
    return [f"{line}: {word}" for line, word in sorted(places)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_modules_use_plain_words(folder: str) -> None:
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert modules
    places = {str(module.relative_to(ROOT)): found(module.read_text()) for module in modules}
    assert {module: words for module, words in places.items() if words} == {}


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("# who comes first\n", ["1: who"]),
        ("def f():\n    '''Nobody.'''\n", ["2: nobody"]),
        ("LIMIT = 1\n'''What was said.'''\n", ["2: said"]),
        ("a_door = OtherDoors\n", ["1: door", "1: doors"]),
        ("already_told = 1\n", ["1: told"]),
        ("class SomebodyElse: ...\n", ["1: somebody"]),
        ("print('who are you?')\n", []),
        ("whole = 1  # the whole of it\n", []),
    ],
)
def test_a_word_of_the_list_is_found(source: str, places: list[str]) -> None:
    assert found(source) == places
