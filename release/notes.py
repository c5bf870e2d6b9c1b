"""The notes of a release: the section of its version in CHANGELOG.md."""

import re


def notes(changelog: str, version: str) -> str:
    """The text below `## VERSION` or `## VERSION, DATE`, up to the next heading of that level.

    Raises LookupError where there is no such section, or where it is empty.
    """
    heading = re.compile(rf"^## \[?{re.escape(version)}\]?(?:[ ,(].*)?$", re.MULTILINE)
    if (found := heading.search(changelog)) is None:
        raise LookupError(f"CHANGELOG.md has no section `## {version}`")
    text = changelog[found.end() :].partition("\n## ")[0].strip()
    if not text:
        raise LookupError(f"the section `## {version}` of CHANGELOG.md is empty")
    return text + "\n"
