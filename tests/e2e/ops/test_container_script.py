"""`ops/container/build` with a stand-in for the engine: what it asks for, and what it refuses."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import PROJECT, ROOT
from tests.support.patience import PATIENCE

CONTAINER = ROOT / "ops" / "container"

ENGINE = """\
#!/bin/bash
echo "$*" >>"$CALLS"
case $1 in
    info) ;;
    build) ;;
    run)
        case "$*" in
            *--version) echo "relay, version $VERSION" ;;
            *"id -u") echo 10001 ;;
            *) echo c0ffee ;;
        esac ;;
    exec) ;;
    inspect) echo "$CODE" ;;
    logs) echo "the log of $2" >&2 ;;
esac
"""


def run_build(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(CONTAINER / "build"), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture
def engine(tmp_path: Path) -> dict[str, str]:
    """The environment of a stand-in for docker that answers as if all went well."""
    (tmp_path / "docker").write_text(ENGINE)
    (tmp_path / "docker").chmod(0o755)
    version = PROJECT["version"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    calls = str(tmp_path / "calls")
    return {"PATH": path, "CALLS": calls, "VERSION": version, "CODE": "0", "ENGINE": "docker"}


def test_the_script_builds_the_dockerfile_and_names_version_and_commit(
    engine: dict[str, str],
) -> None:
    built = run_build(engine)
    assert (built.returncode, built.stderr) == (0, "")
    info, build = Path(engine["CALLS"]).read_text().splitlines()
    assert info == "info"
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    labels = {"title": "Relay", "version": PROJECT["version"], "revision": commit}
    assert build == (
        f"build --file ops/container/Dockerfile --tag relay:{PROJECT['version']} "
        + "".join(
            f"--label org.opencontainers.image.{name}={text} "
            for name, text in {**labels, "licenses": PROJECT["license"]}.items()
        )
        + "."
    )


def test_the_script_tries_what_it_built(engine: dict[str, str]) -> None:
    checked = run_build(engine, "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    probe = json.loads(dockerfile.partition("HEALTHCHECK")[2].partition(" CMD ")[2].splitlines()[0])
    tag = f"relay:{PROJECT['version']}"
    assert Path(engine["CALLS"]).read_text().splitlines()[2:] == [
        f"run --rm {tag} relay --version",
        f"run --rm {tag} id -u",
        f"run --detach {tag}",
        f"exec c0ffee {' '.join(probe)}",
        "stop --time 30 c0ffee",
        "inspect --format {{.State.ExitCode}} c0ffee",
        "rm --force c0ffee",
    ]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"VERSION": "0.0.1"}, "relay --version: relay, version 0.0.1"),
        ({"CODE": "137"}, "with 137"),
    ],
)
def test_an_image_that_does_not_work_fails(
    engine: dict[str, str], fault: dict[str, str], expected: str
) -> None:
    checked = run_build({**engine, **fault}, "--check")
    assert checked.returncode == 1
    assert checked.stderr.rstrip().endswith(expected)


def test_without_an_engine_the_script_says_so() -> None:
    refused = run_build({**os.environ, "ENGINE": "no-such-engine"})
    assert refused.returncode == 3
    assert refused.stderr.startswith("NOT BUILT: no container engine answers")
