"""`examples/agent/relay_permission.py`: only an answer of the person decides, anything else leaves
the decision to the agent's own prompt."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.support.databases import statement
from tests.support.patience import PATIENCE
from tests.support.recipes import EXAMPLES, Machine
from tests.support.relay_server import calls_wait

AGENT = EXAMPLES / "agent"
SESSION = "0b6f5a3e-6a3f-4a0e-9a53-6d2b7f3c1e55"
BASH = {"command": "rm -rf build\nrm -rf ~", "description": "Clean up"}
# as the reference of Claude Code's hooks documents it
REQUEST: dict[str, Any] = {
    "session_id": SESSION,
    "transcript_path": f"/home/you/.claude/projects/app/{SESSION}.jsonl",
    "cwd": "/home/you/app",
    "permission_mode": "default",
    "hook_event_name": "PermissionRequest",
    "tool_name": "Bash",
    "tool_input": BASH,
    "permission_suggestions": [
        {
            "type": "addRules",
            "rules": [{"toolName": "Bash", "ruleContent": "rm -rf build"}],
            "behavior": "allow",
            "destination": "localSettings",
        }
    ],
}
ALLOWED = {"behavior": "allow"}
DENIED = {"behavior": "deny", "message": "The user has denied this on Relay."}


def command() -> str:
    """The hook's command, as the settings have it."""
    settings = json.loads((AGENT / "settings-permission.json").read_text())["hooks"]
    assert settings.keys() == {"PermissionRequest"}, "no other hook decides anything"
    ((group,),) = settings.values()
    (hook,) = group["hooks"]
    line: str = hook["command"]
    return line


@pytest.fixture
def agent(machine: Machine) -> Machine:
    """A home as the README makes it, with a `python3` that has the standard library alone."""
    (machine.home / ".claude").mkdir()
    text = (AGENT / "relay_permission.py").read_text()
    assert "\nANSWER_SECONDS = 30 " in text
    patient = text.replace("\nANSWER_SECONDS = 30 ", "\nANSWER_SECONDS = 3_600 ")
    (machine.home / ".claude" / "relay_permission.py").write_text(patient)
    machine.script("bin/python3", f'exec {sys.executable} -I -S "$@"')
    return machine


class Hook:
    """A hook that waits for an answer; after the block, what it printed."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.output = b""
        self.code: int | None = None

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for data in self.process.stdout:
            self.output += data
        self.code = await self.process.wait()

    @property
    def decision(self) -> Any:
        """What the agent reads; None if its own prompt decides."""
        assert self.code == 0
        if not self.output:
            return None
        specific = json.loads(self.output)["hookSpecificOutput"]
        assert specific["hookEventName"] == "PermissionRequest"
        return specific["decision"]


@asynccontextmanager
async def asking(
    agent: Machine, request: dict[str, Any], *options: str
) -> AsyncIterator[tuple[Hook, Any]]:
    """The hook while it waits, with the ask that it has opened."""
    given = agent.home / "hook.json"
    given.write_text(json.dumps(request))
    with trio.fail_after(PATIENCE), given.open("rb") as stdin:
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                ["sh", "-c", " ".join(["exec", command().removesuffix(" || exit 1"), *options])],
                env=agent.env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            hook = Hook(process)
            nursery.start_soon(hook.read)
            await calls_wait(agent.user.relay, 1)
            (ask,) = (await agent.user.call("GET", "/api/asks")).json()["asks"]
            yield hook, ask


async def answer(agent: Machine, ask: dict[str, Any], text: str) -> None:
    body = {"answer": text, "question_hash": ask["question_hash"]}
    response = await agent.user.call("POST", f"/api/asks/{ask['ask_id']}/answer", json=body)
    assert response.status_code == 200, response.text


async def test_what_is_answered_is_decided_and_all_of_the_call_is_shown(agent: Machine) -> None:
    for text, decided, task, options in (
        ("Allow", ALLOWED, None, ()),
        ("Deny", DENIED, SESSION, ("--task",)),
    ):
        async with asking(agent, REQUEST, *options) as (hook, ask):
            assert ask["question"] == "Allow Bash: rm -rf build rm -rf ~?"
            assert ask["options"] == ["Allow", "Deny"]
            shown = {"tool": "Bash", "input": BASH, "folder": "/home/you/app"}
            assert (ask["task_id"], ask["details"]) == (task, shown)
            await answer(agent, ask, text)
        assert hook.decision == decided


async def test_the_agents_own_description_is_not_the_question(agent: Machine) -> None:
    """The model writes it, so it is no word for what the call does."""
    given = {"description": "List files", "command": "x" * 300 + " && rm -rf ~"}
    async with asking(agent, REQUEST | {"tool_input": given}) as (hook, ask):
        assert ask["question"] == f"Allow Bash: {'x' * 194}…?"
        assert ask["details"]["input"] == given
        await agent.user.call("DELETE", f"/api/asks/{ask['ask_id']}")
    assert hook.decision is None


async def test_no_answer_in_time_is_no_consent(agent: Machine, database_url: str) -> None:
    async with asking(agent, REQUEST) as (hook, _):
        await statement(database_url, "UPDATE asks SET expires_at = now()")
    assert hook.decision is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
async def test_a_hook_that_the_agent_ends_withdraws_its_question(
    agent: Machine, number: signal.Signals
) -> None:
    async with asking(agent, REQUEST) as (hook, ask):
        hook.process.send_signal(number)
    assert hook.decision is None
    path = f"/api/asks/{ask['ask_id']}"
    assert (await agent.user.call("GET", path)).json()["state"] == "withdrawn"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (REQUEST | {"tool_name": "AskUserQuestion"}, b""),
        (REQUEST | {"tool_name": "ExitPlanMode"}, b""),
        (REQUEST | {"hook_event_name": "PreToolUse"}, b""),
        (
            REQUEST | {"tool_input": {"file_path": "a", "content": "x" * 16_384}},
            b"not asked on Relay: the call is too large to be shown\n",
        ),
        ({"hook_event_name": "PermissionRequest"}, b"not asked on Relay: this is no hook (KeyErr"),
        (REQUEST | {"tool_input": "ls"}, b"not asked on Relay: this is no hook (ValueErr"),
        (REQUEST | {"tool_input": {"command": 1}}, b"not asked on Relay: this is no hook (TypeErr"),
        (REQUEST | {"tool_name": "\ud800"}, b"not asked on Relay: this is no hook (UnicodeEnc"),
        ([], b"not asked on Relay: this is no hook (TypeError("),
        (b"", b"not asked on Relay: this is no hook (JSONDecodeError("),
        (b"\xff", b"not asked on Relay: this is no hook (UnicodeDecodeError("),
        (b"[" * 200_000, b"not asked on Relay: this is no hook (RecursionError("),
    ],
)
async def test_what_cannot_be_asked_is_left_to_the_agents_prompt(
    agent: Machine, given: Any, line: bytes
) -> None:
    text = given if isinstance(given, bytes) else json.dumps(given).encode()
    done = await agent.run("sh", "-c", command(), given=text)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(line)
    assert done.stderr.count(b"\n") == (1 if line else 0)
    assert await agent.published() == []


async def test_without_relay_its_token_or_its_command_the_agents_prompt_decides(
    agent: Machine, away: str
) -> None:
    given = json.dumps(REQUEST).encode()
    for env, line in (
        (agent.env | {"RELAY_URL": away}, b"does not answer (connection refused"),
        (agent.env | {"RELAY_TOKEN": "broken"}, b"The credential is malformed"),
        ({"PATH": "/usr/bin:/bin", "HOME": str(agent.home)}, b"no program `relay`"),
    ):
        done = await agent.run(f"{agent.home}/bin/python3", script(agent), given=given, env=env)
        assert (done.returncode, done.stdout) == (0, b"")
        assert line in done.stderr, done.stderr
    assert await agent.published() == []


async def test_a_missing_file_denies_nothing(agent: Machine) -> None:
    """The agent takes exit code 2 for a refusal, and Python exits with it for a missing file."""
    (agent.home / ".claude" / "relay_permission.py").unlink()
    done = await agent.run("sh", "-c", command(), given=json.dumps(REQUEST).encode())
    assert (done.returncode, done.stdout) == (1, b"")


def script(agent: Machine) -> str:
    return str(agent.home / ".claude" / "relay_permission.py")
