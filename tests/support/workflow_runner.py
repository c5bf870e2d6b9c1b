"""Runs a job of a workflow as GitHub's runner does, as far as the recipe goes."""

import re
from typing import Any

import yaml

from tests.support.recipes import EXAMPLES, Machine

RECIPE = EXAMPLES / "github-actions"
ACTIONS = {
    "./.github/actions/relay": "action.yml",
    "./.github/actions/relay-approve": "approve.yml",
}
SHELLS = {
    None: ["bash", "-e", "{0}"],
    "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"],
}


class Job:
    """The job of a workflow, in a checkout of its own; `log` is what its steps printed."""

    def __init__(
        self, machine: Machine, url: str, token: str, leg: str = "0", workflow: str = "workflow.yml"
    ) -> None:
        self._machine = machine
        self._workflow = workflow
        self.output = machine.home / "output"
        self.url, self.token = url, token
        self.log = ""
        self.status = "success"
        self._known = {
            "vars.RELAY_URL": url,
            "secrets.RELAY_TOKEN": token,
            "strategy.job-index": leg,
            "github.ref_name": "main",
        }
        self.variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(machine.home),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION": "__self",
            "GITHUB_ACTOR": "you",
            "GITHUB_JOB": "test",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_REF_NAME": "main",
            "GITHUB_REPOSITORY": "you/project",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": "16432",
            "GITHUB_SHA": "59677f0",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKFLOW": "CI",
        }

    async def run(self) -> str:
        """All its steps; how it ended."""
        workflow = yaml.safe_load((RECIPE / self._workflow).read_text())
        (job,) = workflow["jobs"].values()
        for step in job["steps"]:
            always = step.get("if") == "always()"
            assert always or "if" not in step
            if self.status == "success" or always:
                await self._step(step)
        return self.status

    async def _step(self, step: dict[str, Any]) -> None:
        if "run" in step:
            await self._script(step, {})
        elif step["uses"] in ACTIONS:
            given = {name: self._filled(text, {}) for name, text in step["with"].items()}
            await self._action(ACTIONS[step["uses"]], given)
        else:
            assert step["uses"].startswith("actions/checkout@")

    async def _action(self, file: str, given: dict[str, str]) -> None:
        action = yaml.safe_load((RECIPE / file).read_text())
        assert action["runs"]["using"] == "composite"
        assert given.keys() <= action["inputs"].keys()
        assert {name for name, one in action["inputs"].items() if one["required"]} <= given.keys()
        defaults = {name: one.get("default", "") for name, one in action["inputs"].items()}
        inputs = {f"inputs.{name}": value for name, value in {**defaults, **given}.items()}
        for step in action["runs"]["steps"]:
            assert "shell" in step, "a composite action has no shell unless it names one"
            await self._script(step, inputs)

    async def _script(self, step: dict[str, Any], inputs: dict[str, str]) -> None:
        assert "${{" not in step["run"], "what an expression gives would be run"
        env = {name: self._filled(text, inputs) for name, text in step.get("env", {}).items()}
        script = self._machine.home / "step.sh"
        script.write_text(step["run"])
        command = [word.replace("{0}", str(script)) for word in SHELLS[step.get("shell")]]
        done = await self._machine.run(*command, env={**self.variables, **env})
        self.log += (done.stdout + done.stderr).decode()
        if done.returncode:
            self.status = "failure"

    def _filled(self, text: str, inputs: dict[str, str]) -> str:
        known = {**self._known, "job.status": self.status, **inputs}
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known[found[1]], text)
