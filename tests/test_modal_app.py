"""The Modal deployment, as far as it shows without an account: it imports and says what we mean."""

import runpy
import subprocess
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "modal_app.py"


def test_the_container_starts_relay_with_streams_that_end_before_the_host_cuts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    module = runpy.run_path(str(APP))
    monkeypatch.setattr(subprocess, "Popen", lambda args, env: started.append((args, env)))
    module["serve"].local()
    ((command, environ),) = started
    assert command == ["relay", "serve", "--bind", "0.0.0.0:8000"]
    assert environ["RELAY_STREAM_MAX_AGE"] == "140s"
