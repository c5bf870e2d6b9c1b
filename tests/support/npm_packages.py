"""Packages of npm, as a lock names them: `npm ci` into a folder of the test's own."""

import shutil
import subprocess
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.programs import lacking, program

AWAY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")  # npm's words


def installed_copy(source: Path, folder: Path) -> Path:
    """A copy of a folder with a package.json and its lock, and what they name beside them.

    Without npm, or where it does not reach its registry, the calling test is skipped.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules", "*.py"))
    command = [program("npm"), "ci", "--ignore-scripts", "--prefer-offline", "--no-audit"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode and any(word in done.stderr for word in AWAY):
        lacking("npm does not reach its registry")
    assert done.returncode == 0, done.stderr
    return folder
