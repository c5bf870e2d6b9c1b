"""`make audit` distinguishes no advisory, some advisories, and unanswered questions."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.packages import ROOT
from tests.support.patience import PATIENCE
from tests.support.programs import program

LOCK = json.loads((ROOT / "examples/node/package-lock.json").read_text())
WS = LOCK["packages"]["node_modules/ws"]["version"]
FOUND = "Found 1 known vulnerability in 1 package"  # pip-audit's words, on stderr
KNOWN = {"id": 1, "url": "https://example.com/1", "title": "It leaks", "severity": "high"}


@contextmanager
def registry(advisories: dict[str, Any] | None) -> Iterator[str]:
    """What npm asks: advisories of all packages, and which versions of a package there are."""

    class Registry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(405 if advisories is None else 200, advisories or {})

        def do_GET(self) -> None:
            versions = {WS: {"name": "ws", "version": WS}}
            self._answer(200, {"name": "ws", "versions": versions, "dist-tags": {"latest": WS}})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def audited(
    folder: Path, address: str, says: str = "", path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """`.ci/audit` where pip-audit finds nothing, or says that and fails."""
    stand_in = folder / "pip-audit"
    stand_in.write_text(f"#!/bin/sh\n[ -z '{says}' ] || {{ echo '{says}' >&2; exit 1; }}\n")
    stand_in.chmod(0o755)
    asked = {"npm_config_registry": address, "npm_config_cache": str(folder / "cache")}
    environ = {**os.environ, "PIP_AUDIT": str(stand_in), "PATH": path, **asked}
    command = [program("bash"), str(ROOT / ".ci/audit")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("advisories", "code", "expected"),
    [
        ({}, 0, "found 0 vulnerabilities"),
        ({"ws": [{**KNOWN, "vulnerable_versions": f"<={WS}"}]}, 1, "It leaks"),
        (None, 2, "NOT CHECKED: examples/node"),
    ],
)
def test_npm_advisories_are_reported(
    tmp_path: Path, advisories: dict[str, Any] | None, code: int, expected: str
) -> None:
    program("npm")
    with registry(advisories) as address:
        done = audited(tmp_path, address)
        assert done.returncode == code, done.stderr
        assert expected in done.stdout + done.stderr
        # what is known of either is the answer, whatever the other says
        assert audited(tmp_path, address, says=FOUND).returncode == 1


def test_a_pip_audit_that_fails_has_found_nothing(tmp_path: Path) -> None:
    program("npm")
    with registry({}) as address:
        done = audited(tmp_path, address, says="ImportError: cannot import it")
    assert done.returncode == 2
    assert "NOT CHECKED: the packages for Python" in done.stderr
    assert "cannot import it" in done.stderr


def test_a_pip_audit_whose_python_is_gone_is_installed_anew(tmp_path: Path) -> None:
    """The machine's Python and pip are stand-ins, which write down what they are asked."""
    for folder in (".ci", ".audit/bin", "examples/node"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / ".ci/audit", tmp_path / ".ci/audit")
    installed = tmp_path / ".audit/bin/pip-audit"
    installed.write_text("#!/nowhere/python3\n")
    scripts = {
        installed.with_name("pip"): f"printf '#!/bin/sh\n' > {installed}",
        tmp_path / "python": f'echo "$@" > {tmp_path}/made',
    }
    for path, line in scripts.items():
        path.write_text(f"#!/bin/sh\n{line}\n")
    for path in (installed, *scripts):
        path.chmod(0o755)
    done = subprocess.run(
        [program("bash"), str(tmp_path / ".ci/audit")],
        env={"PATH": os.environ["PATH"], "PYTHON": str(tmp_path / "python")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (tmp_path / "made").read_text() == "-m venv --clear .audit\n"
    assert "for Python" not in done.stderr


def test_a_missing_npm_is_reported(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("mktemp", "rm", "cat", "grep", "dirname", "tail", "cut"):
        (tools / name).symlink_to(program(name))
    done = audited(tmp_path, "http://127.0.0.1:1/", path=str(tools))
    assert done.returncode == 2
    assert "npm is not installed" in done.stderr
