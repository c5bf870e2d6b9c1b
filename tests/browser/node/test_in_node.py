"""The page's own modules, tested where they need no browser: Node's test runner runs them."""

import os
import subprocess
from pathlib import Path

import pytest

import relay
from relay.web.joined_modules import join_modules
from tests.support.patience import PATIENCE
from tests.support.programs import program

HERE = Path(__file__).parent
CONSOLE = Path(relay.__file__).parent / "console"


def run_in_node(file: Path, **environment: str) -> None:
    node = program("node", "nodejs")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", file],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\n# pass 0\n" not in ran.stdout
    assert "\n# skipped 0\n" in ran.stdout


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.stem)
def test_page_modules_in_node(file: Path) -> None:
    run_in_node(file)


@pytest.mark.parametrize(
    "file", sorted(HERE.glob("relay-stream*.test.mjs")), ids=lambda file: file.stem
)
def test_the_served_stream_module_in_node(file: Path, tmp_path: Path) -> None:
    """One file, without its parts: what a page elsewhere loads, or copied."""
    served = tmp_path / "relay-stream.mjs"
    served.write_bytes(join_modules(CONSOLE / "relay-stream.js"))
    run_in_node(file, RELAY_STREAM=served.as_uri())
