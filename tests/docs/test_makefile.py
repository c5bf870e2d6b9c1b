"""Make sets up its environment once, and again when what it is made of is gone or has changed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import ROOT
from tests.support.patience import PATIENCE
from tests.support.programs import program

# stands in for the Python of the machine: its environments have programs that do nothing
PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 0
echo "$@" >> made
for folder; do :; done
mkdir -p "$folder/bin"
for name in python pip ruff mypy; do
    ln -sf /bin/true "$folder/bin/$name"
done
"""


class Checkout:
    """A folder with the Makefile, where `make check` needs nothing but the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder)
        (folder / "python").write_text(PYTHON)
        (folder / "python").chmod(0o755)

    def check(self) -> list[str]:
        """Run `make check`; returns what the machine's Python was asked to make."""
        done = subprocess.run(
            [program("make"), "check", "PYTHON=./python"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made = self.folder / "made"
        asked = made.read_text().splitlines() if made.exists() else []
        made.unlink(missing_ok=True)
        return asked


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    it = Checkout(tmp_path)
    assert len(it.check()) == 1
    assert it.check() == []
    return it


def test_the_environment_is_made_anew_when_its_python_is_gone(checkout: Checkout) -> None:
    python = checkout.folder / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert checkout.check() == ["-m venv --clear .venv"]


def test_the_environment_is_brought_up_to_date_when_its_definition_changes(
    checkout: Checkout,
) -> None:
    before = (checkout.folder / "constraints.txt").stat().st_mtime - 10
    os.utime(checkout.folder / ".venv/.ready", (before, before))
    assert checkout.check() == ["-m venv .venv"]
