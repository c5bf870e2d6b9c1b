"""The page's own modules, tested where they need no browser: Node's test runner runs them."""

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.programs import program

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.stem)
def test_the_pages_modules(file: Path) -> None:
    node = program("node", "nodejs")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", file],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\n# pass 0\n" not in ran.stdout
    assert "\n# skipped 0\n" in ran.stdout
