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
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
YAML = [
    *FORMS,
    *sorted((ROOT / ".github/workflows").glob("*.yml")),
    ROOT / ".pre-commit-config.yaml",
    ROOT / "mkdocs.yml",
]
FULL_VERSION = re.compile(r"[\w./-]+@v\d+\.\d+\.\d+")
FIELDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


HOOKS = {
    hook["id"]: hook
    for repository in load(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]
}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_it_is_yaml(path: Path) -> None:
    assert isinstance(load(path), dict)


@pytest.mark.parametrize(
    "path", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.name
)
def test_an_issue_form_has_what_the_host_asks_for(path: Path) -> None:
    form = load(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in form["body"]} <= FIELDS
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_workflow_runs_the_script_of_ci_with_the_least_permissions() -> None:
    workflow = load(ROOT / ".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert re.fullmatch(r"python:3\.11\.\d+-bookworm", job["container"]["image"])
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not FULL_VERSION.fullmatch(action)] == []


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
