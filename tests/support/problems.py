"""Relay's problem documents: every kind, and their one shape."""

from collections.abc import Iterator
from typing import Any

import httpx

import relay.serving  # noqa: F401 - brings every refusal into being: the app's and the server's
from relay.errors import Problem


def subclasses(kind: type[Problem]) -> Iterator[type[Problem]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


PROBLEMS = {kind.code: kind for kind in subclasses(Problem) if kind.__module__.startswith("relay.")}
HINTS = {
    code: {kind.hint for kind in subclasses(Problem) if kind.code == code} for code in PROBLEMS
}
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def check(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Hold an answer to the one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) | {"errors"} == MEMBERS | {"errors"}
    assert problem["status"] == status
    assert all(problem[name] for name in ("type", "title", "detail"))
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["code"].replace("_", "").isalpha()
    assert code in (None, problem["code"])
    if status in (401, 403):
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    if status in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0
    if "errors" in problem:
        assert all(set(error) == {"where", "message"} for error in problem["errors"])
    return problem
