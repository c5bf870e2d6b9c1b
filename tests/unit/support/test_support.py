"""The known start, held ports, skipped programs, and `make shake`."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import HeldPort
from tests.support.programs import CHROMIUM, chromium, program
from tests.support.shake import Run, read, verdict
from tests.support.untried import KERNEL, could_be_tried, untried

ROOT = Path(__file__).parents[3]
LACK = r"^chromium is not installed \(Debian's package chromium\)$"

# -- the start

HOSTILE = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
os.umask(0o077)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
WITHIN = """
import os, subprocess, sys
from pathlib import Path
from tests.support.start import known_start
LOOK = '''
import json, os, signal, time
ignored = [n.name for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
blocked = [n.name for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
umask = os.umask(0)
print(json.dumps([sorted(ignored), blocked, umask, time.tzname[0], dict(os.environ)]))
'''
with known_start(Path(sys.argv[1])):
    subprocess.run([sys.executable, "-c", LOOK], check=True)
    os.kill(os.getpid(), 1)  # what was ignored does not end this run either
print("done")
"""


def test_commands_start_from_a_known_state(tmp_path: Path) -> None:
    odd = {"TZ": "Asia/Kolkata", "LC_ALL": "C", "LANG": "de_DE", "RELAY_URL": "http://x", "CI": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, WITHIN, str(tmp_path)],
        env={**os.environ, **odd, "HOME": "/nowhere", "RELAY_TEST_ALL": "1"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    seen, last = done.stdout.decode().splitlines()
    ignored, blocked, umask, zone, environ = json.loads(seen)
    assert ignored == ["SIGPIPE", "SIGXFSZ"]  # these two are Python's own
    assert (blocked, umask, zone, last) == ([], 0o022, "UTC", "done")
    assert (environ["HOME"], environ["LC_ALL"]) == (str(tmp_path), "C.UTF-8")
    assert environ["TMPDIR"] == str(tmp_path / "tmp")
    assert environ["RELAY_TEST_ALL"] == "1"
    assert not {"LANG", "RELAY_URL", "CI"} & environ.keys()


# -- ports


def test_a_held_port_is_free_for_its_server_only() -> None:
    def listening(port: int) -> socket.socket:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        return server

    with HeldPort() as held:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", held.number))
        for _ in range(2):  # a program that is started again
            with listening(held.number), socket.create_connection(("127.0.0.1", held.number)):
                pass
        for _ in range(2_000):
            with listening(0) as other:
                assert other.getsockname()[1] != held.number


# -- what a machine lacks


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RELAY_TEST_ALL", raising=False)
    return tmp_path


def test_a_missing_program_is_skipped_by_name(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match=LACK):
        chromium()
    monkeypatch.setenv("RELAY_TEST_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=LACK):
        chromium()


@pytest.mark.parametrize("name", CHROMIUM)
def test_a_program_is_found_by_any_of_its_names(bare: Path, name: str) -> None:
    (bare / name).touch(0o755)
    assert chromium() == str(bare / name)
    with pytest.raises(pytest.skip.Exception):
        program("another")


def test_skipped_tests_are_one_line_with_the_packages_to_install() -> None:
    lacks = "Skipped: {} is not installed (Debian's package {})".format
    assert untried([]) == ""
    assert untried([lacks("nginx", "nginx-light"), lacks("zsh", "zsh"), lacks("zsh", "zsh")]) == (
        "3 tests were not tried; to try more: apt-get install nginx-light zsh."
    )
    assert untried([lacks("zsh", "zsh"), "Skipped: reads /proc", "Skipped: reads /proc"]) == (
        "3 tests were not tried; to try more: apt-get install zsh;"
        " left out as well: reads /proc (2)."
    )


INNER = """
import pytest
from tests.support.programs import lacking
@pytest.mark.trio
async def test_another(): lacking("caddy is not installed (Debian's package caddy)")
def test_one(): pytest.skip("nginx is not installed (Debian's package nginx-light)")
def test_other(): pass
"""


@pytest.mark.parametrize(
    ("everything", "code", "line"),
    [
        ("", 0, "2 tests were not tried; to try more: apt-get install caddy nginx-light."),
        ("1", 1, "1 test was not tried; to try more: apt-get install nginx-light."),
    ],
)
def test_a_run_ends_with_the_line_of_skips_and_fails_when_all_are_required(
    tmp_path: Path, everything: str, code: int, line: str
) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "test_inner.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RELAY_TEST_ALL": everything},
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert line in done.stdout.decode()


def test_only_what_could_be_installed_is_missed() -> None:
    assert could_be_tried("Skipped: nginx is not installed (Debian's package nginx-light)")
    assert not could_be_tried(f"Skipped: {KERNEL} mounts no tmpfs")


# -- shaking


def test_a_shake_names_each_failed_test_and_how_to_repeat_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "run.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.a.test_b" name="test_c[x]">'
        '<failure message="no"/></testcase><testcase classname="tests.a.test_b" name="test_d"/>'
        '<testcase classname="tests.a.test_e" name="test_f"><error message="no"/></testcase>'
        "</testsuite></testsuites>"
    )
    tried, failed = read(report)
    assert (tried, failed) == (3, ("tests/a/test_b.py::test_c[x]", "tests/a/test_e.py::test_f"))
    runs = [
        Run(1, 7, False, 0, 9.0, 2.0, 3, (), Path("first")),
        Run(2, 8, True, 1, 9.0, 4.0, 3, failed, Path("second")),
    ]
    assert verdict(runs[:1]) == 0
    assert verdict(runs) == 1
    output = capsys.readouterr().out
    assert "1 of 2 runs were clean" in output
    assert "test_c[x]\n    failed in 1 of 2: pytest -p randomly --randomly-seed=8" in output
    assert "--hypothesis-seed=8 --hypothesis-profile=other\n" in output
