"""Secrets are compared in constant time: read from the code."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from joserfc._rfc7518.jws_algs import HMACAlgorithm

PACKAGE = Path(__file__).parents[2] / "relay"
SECRET = re.compile(
    r"token|secret|ticket|signature|digest|password|hash|cookie|bearer|expected|given|candidate"
)
BY_VALUE = (ast.Eq, ast.NotEq)


def name(node: ast.expr) -> str:
    """What an operand is called where it is compared; nothing for a word that stands there."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        key = node.slice
        return str(key.value) if isinstance(key, ast.Constant) else name(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # given.encode()
        return name(node.func.value)
    return ""


def compared_secrets(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        by_value = any(isinstance(operator, BY_VALUE) for operator in node.ops)
        sides = (node.left, *node.comparators)
        if by_value and any(SECRET.search(name(side).lower()) for side in sides):
            yield ast.unparse(node)


def test_the_check_finds_a_planted_comparison() -> None:
    assert [*compared_secrets("if request.args['ticket'] == known.secret: pass")]
    assert not [*compared_secrets("hmac.compare_digest(token, secret)")]


def test_no_secret_is_compared_with_equality() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {comparison}"
        for path in PACKAGE.rglob("*.py")
        for comparison in compared_secrets(path.read_text())
    }
    assert found == set()


def test_tokens_are_verified_in_constant_time() -> None:
    """By the library that does it."""
    assert "hmac.compare_digest" in inspect.getsource(HMACAlgorithm.verify)
