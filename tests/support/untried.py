"""The line at the end of a run that names what was skipped, and how to run it."""

import os
import re
from collections import Counter
from collections.abc import Iterable

KERNEL = "this kernel or container"
"""How the reason of a skip begins that no package would change."""

PACKAGE = re.compile(r"\(Debian's package ([^)]+)\)")


def everything_is_asked_for() -> bool:
    """Whether this run may leave nothing out: RELAY_TEST_ALL is set. CI sets it."""
    return bool(os.environ.get("RELAY_TEST_ALL"))


def could_be_tried(reason: str) -> bool:
    """Whether the skipped test could be run here, after something was installed."""
    return not reason.removeprefix("Skipped: ").startswith(KERNEL)


def untried(reasons: Iterable[str]) -> str:
    """One line about skipped tests; `reasons` has the reason of each. Empty if there are none."""
    counted = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    if not counted:
        return ""
    packages = {
        package
        for reason in counted
        for found in PACKAGE.finditer(reason)
        for package in found[1].split()
    }
    others = [
        f"{reason} ({count})"
        for reason, count in sorted(counted.items())
        if not PACKAGE.search(reason)
    ]
    number = counted.total()
    sentences = [f"{number} tests were not tried" if number > 1 else "1 test was not tried"]
    if packages:
        sentences.append(f"to try more: apt-get install {' '.join(sorted(packages))}")
    if others:
        sentences.append(f"left out as well: {', '.join(others)}")
    return "; ".join(sentences) + "."
