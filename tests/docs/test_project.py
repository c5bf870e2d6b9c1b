"""The files by which a code host and editors work with the project."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOST = ROOT / ".github"
RECIPE = ROOT / "examples/github-actions"
SCHEMAS = {
    "github-workflows": [*sorted((HOST / "workflows").iterdir()), RECIPE / "workflow.yml"],
    "github-actions": [RECIPE / "action.yml"],
    "github-issue-config": [HOST / "ISSUE_TEMPLATE/config.yml"],
    "github-issue-forms": [
        form for form in sorted((HOST / "ISSUE_TEMPLATE").iterdir()) if form.stem != "config"
    ],
    "compose-spec": [ROOT / "ops/container/compose.yaml", ROOT / "ops/scale/compose.yaml"],
}
FULL_VERSION = re.compile(r"[\w./-]+@v\d+\.\d+\.\d+")
WORKFLOWS = sorted((HOST / "workflows").iterdir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


HOOKS = {
    hook["id"]: hook
    for repository in load(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]
}


@pytest.mark.parametrize(("schema", "paths"), SCHEMAS.items(), ids=str)
def test_a_file_is_what_the_code_host_reads(schema: str, paths: list[Path]) -> None:
    """By the published schemas, which the checker has with it."""
    assert paths
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_the_least_permissions_and_exact_versions(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
        assert re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
        steps = {step["uses"]: step.get("with", {}) for step in job["steps"] if "uses" in step}
        assert [action for action in steps if not FULL_VERSION.fullmatch(action)] == []
        (checkout,) = (values for action, values in steps.items() if "/checkout@" in action)
        assert checkout["persist-credentials"] is False
        for name, version in ((n, v) for values in steps.values() for n, v in values.items()):
            assert not name.endswith("-version") or re.fullmatch(r"\d+\.\d+\.\d+", version), name


def test_the_workflow_of_ci_runs_its_script() -> None:
    (job,) = load(HOST / "workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert re.fullmatch(r"python:3\.11\.\d+-bookworm", job["container"]["image"])


def test_a_hook_is_a_tool_of_the_environment() -> None:
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}
    checked = set(re.findall(r"^\t\$\(BIN\)/(\w+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    programs = {shlex.split(hook["entry"])[0] for hook in HOOKS.values()}
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy"}
    assert {Path(program).name for program in programs} <= checked


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_passes_on_a_tidy_file_and_fails_on_another(name: str, tmp_path: Path) -> None:
    program, *options = shlex.split(HOOKS[name]["entry"])
    tool = Path(sys.executable).with_name(Path(program).name)
    if name == "mypy":
        options += ["--cache-dir", str(tmp_path / "cache")]
    tidy, untidy = tmp_path / "tidy.py", tmp_path / "untidy.py"
    tidy.write_text("NUMBER: int = 1\n")
    untidy.write_text("import os\nNUMBER: int = 'one'\n")
    if name == "ruff-format":
        options.append("--check")

    def exit_code(path: Path) -> int:
        command = [str(tool), *options, str(path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode

    assert exit_code(tidy) == 0
    assert exit_code(untidy) == 1


def test_the_tests_that_newcomers_are_shown_are_there() -> None:
    shown = re.findall(r"pytest .*?(tests/\S+)", (ROOT / "CONTRIBUTING.md").read_text())
    assert shown
    assert [path for path in shown if not (ROOT / path).exists()] == []
