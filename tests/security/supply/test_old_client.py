"""`.ci/old-client` where it cannot try anything: a clone without the old client's commit."""

import os
import subprocess

import pytest

from tests.support.packages import ROOT
from tests.support.patience import PATIENCE


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_clone_without_the_history_says_so_and_fails_in_ci(ci: str, code: int) -> None:
    ran = subprocess.run(
        [ROOT / ".ci" / "old-client"],
        env={**os.environ, "CI": ci, "OLDEST_CLIENT": "0" * 40},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(f"NOT TRIED: the older commit {'0' * 40} is not")
