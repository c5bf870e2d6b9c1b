"""Relay's dependencies: those of every extra, and theirs in turn."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def closure(requirements: Iterable[str]) -> set[str]:
    """The names of all packages these need here, on this Python and this system."""
    found: set[str] = set()
    todo = [(Requirement(text), "") for text in requirements]
    seen = set[tuple[str, str]]()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name == PROJECT["name"]:
            asked = (text for own in requirement.extras for text in EXTRAS[own])
            todo += [(Requirement(text), "") for text in (*PROJECT["dependencies"], *asked)]
            continue
        found.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                needs = importlib.metadata.requires(name) or []
                todo += [(Requirement(text), wanted) for text in needs]
    return found


def pins() -> dict[str, str]:
    """Every line of constraints.txt: a package and its one version. Raises for anything else."""
    return {canonicalize_name(name): version for name, version in _pins()}


def _pins() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9A-Za-z.+!]*)", line)
        assert match is not None, f"constraints.txt: {line!r} is no package==version"
        yield match[1], match[2]
