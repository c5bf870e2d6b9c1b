"""`examples/agent`: hooks as their reference documents them, by command and over HTTP."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.support.commands import running
from tests.support.patience import PATIENCE
from tests.support.recipes import EXAMPLES, Machine

AGENT = EXAMPLES / "agent"
SESSION = "0b6f5a3e-6a3f-4a0e-9a53-6d2b7f3c1e55"
BASH = {"tool_name": "Bash", "tool_input": {"command": "npm test", "description": "Run the tests"}}
EDIT = {"tool_name": "Edit", "tool_input": {"file_path": "/src/app.ts", "replace_all": False}}

# what happens in a session: the fields of each hook beside the common ones, and the event
STORY: list[tuple[dict[str, Any], tuple[str, dict[str, Any]] | None]] = [
    ({"hook_event_name": "SessionStart", "source": "startup"}, None),
    (
        {"hook_event_name": "UserPromptSubmit", "prompt": "Mend the tests\nThey fail on main."},
        ("task_started", {"title": "Mend the tests"}),
    ),
    (
        {"hook_event_name": "PreToolUse", **BASH, "tool_use_id": "toolu_01"},
        ("task_progress", {"message": "Bash: npm test"}),
    ),
    (
        {
            "hook_event_name": "PostToolUseFailure",
            **BASH,
            "tool_use_id": "toolu_01",
            "error": "Command exited with non-zero status code 1",
            "is_interrupt": False,
        },
        (
            "log",
            {
                "message": "Bash: npm test\nCommand exited with non-zero status code 1",
                "level": "error",
            },
        ),
    ),
    (
        {
            "hook_event_name": "Notification",
            "message": "Claude needs your permission to use Edit",
            "notification_type": "permission_prompt",
        },
        ("log", {"message": "Claude needs your permission to use Edit", "level": "warning"}),
    ),
    (
        {
            "hook_event_name": "PostToolUse",
            **EDIT,
            "tool_use_id": "toolu_02",
            "tool_response": {"success": True},
        },
        ("log", {"message": "Edit: /src/app.ts"}),
    ),
    (
        {
            "hook_event_name": "Stop",
            "stop_hook_active": False,
            "last_assistant_message": "All 214 tests pass.",
        },
        ("task_succeeded", {"message": "All 214 tests pass."}),
    ),
    (
        {"hook_event_name": "StopFailure", "error": "rate_limit", "error_details": "429 Too many"},
        ("task_failed", {"message": "429 Too many"}),
    ),
    (
        {"hook_event_name": "SessionEnd", "reason": "prompt_input_exit"},
        ("task_succeeded", {"message": "session over: prompt_input_exit"}),
    ),
]
PUBLISHED = [published for _, published in STORY if published is not None]
NAMES = {hook["hook_event_name"] for hook, published in STORY if published is not None}


def hook(fields: dict[str, Any]) -> bytes:
    common = {
        "session_id": SESSION,
        "transcript_path": f"/home/you/.claude/projects/app/{SESSION}.jsonl",
        "cwd": "/home/you/app",
        "permission_mode": "default",
    }
    return json.dumps({**common, **fields}).encode()


def handlers(settings: str) -> dict[str, dict[str, Any]]:
    """The one handler of each hook that the settings name."""
    named: dict[str, Any] = json.loads((AGENT / settings).read_text())["hooks"]
    assert all(len(groups) == len(groups[0]["hooks"]) == 1 for groups in named.values())
    return {name: groups[0]["hooks"][0] for name, groups in named.items()}


@pytest.fixture
def home(machine: Machine) -> Path:
    """A home as the README makes it."""
    (machine.home / ".claude").mkdir()
    text = (AGENT / "relay_hook.py").read_text()
    assert "\nPATIENCE = 5 " in text
    patient = text.replace("\nPATIENCE = 5 ", "\nPATIENCE = 3_600 ")
    (machine.home / ".claude" / "relay_hook.py").write_text(patient)
    (machine.home / "bin" / "python").rename(machine.home / "bin" / "python3")
    return machine.home


async def test_command_hooks_report_the_session(machine: Machine, home: Path) -> None:
    commands = {name: handler["command"] for name, handler in handlers("settings.json").items()}
    assert commands.keys() == NAMES
    assert len(set(commands.values())) == 1, "so that a few of them are enough here"
    acts = [STORY[index] for index in (0, 1, 2, 6)]
    for fields, _ in acts:
        done = await machine.run("sh", "-c", commands["Stop"], given=hook(fields))
        # anything else would be read by the agent: as context, as a decision, as a refusal
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    events = await machine.published()
    assert [(event["event_type"], event["payload"]) for event in events] == [
        published for _, published in acts if published is not None
    ]
    assert {event["task_id"] for event in events} == {SESSION}


@pytest.fixture
def bare(machine: Machine, home: Path) -> Path:
    """A machine whose `python3` has the standard library and nothing else."""
    machine.script("bin/python3", f'exec {sys.executable} -I -S "$@"')
    return home


async def test_command_hooks_need_the_standard_library_alone(machine: Machine, bare: Path) -> None:
    command = handlers("settings.json")["Stop"]["command"]
    for fields, _ in STORY:
        done = await machine.run("sh", "-c", command, given=hook(fields))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    events = await machine.published()
    assert [(event["event_type"], event["payload"]) for event in events] == PUBLISHED


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (hook(STORY[1][0]), b"nothing is published: no program `relay` can be run here\n"),
        (b"", b"nothing is published: this is no hook (JSONDecodeError("),
        (b"[]", b"nothing is published: this is no hook (AttributeError("),
        (b"\xff", b"nothing is published: this is no hook (UnicodeDecodeError("),
        (b"[" * 200_000, b"nothing is published: this is no hook (RecursionError("),
        (b'{"hook_event_name": "Stop"}', b"nothing is published: this is no hook (KeyError("),
        (b'{"hook_event_name": ["Stop"]}', b"nothing is published: this is no hook (TypeError("),
        (b'{"hook_event_name": "New", "n": ' + b"9" * 5_000 + b"}", b""),
    ],
    ids=["no relay", "empty", "array", "bytes", "deep", "no session", "odd name", "huge number"],
)
async def test_a_command_hook_that_cannot_publish_is_one_line_and_exits_with_0(
    machine: Machine, bare: Path, given: bytes, line: bytes
) -> None:
    (machine.home / "bin" / "relay").unlink()
    command = handlers("settings.json")["Stop"]["command"]
    done = await machine.run("sh", "-c", command, given=given)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(line)
    assert done.stderr.count(b"\n") == (1 if line else 0)


async def test_listening_without_the_package_is_one_line(machine: Machine, bare: Path) -> None:
    hooks = bare / ".claude" / "relay_hook.py"
    done = await machine.run("python3", hooks, "--listen", "0")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"--listen needs Relay's Python package")
    assert done.stderr.count(b"\n") == 1


async def test_http_hooks_report_the_session(machine: Machine, home: Path) -> None:
    assert handlers("settings-http.json").keys() == NAMES
    command = ["python3", str(home / ".claude" / "relay_hook.py"), "--listen", "0"]
    async with (
        machine.user.sse() as stream,
        running(command, home, machine.env) as listener,
        httpx.AsyncClient(headers={"Content-Type": "application/json"}, timeout=PATIENCE) as agent,
    ):
        url = (await listener.says(r"listens on (http://127\.0\.0\.1:\d+/)\n"))[1]
        for fields, _ in STORY:
            for _again in range(2 if "tool_use_id" in fields else 1):
                answer = await agent.post(url, content=hook(fields))
                assert (answer.status_code, answer.content) == (204, b"")
        events = await stream.events(len(PUBLISHED))
        assert [(event["event_type"], event["payload"]) for event in events] == PUBLISHED
        for body, kind, status in (
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b'{"hook_event_name": "Stop"}', "application/json", 400),
            (hook(STORY[1][0]), "text/plain", 415),
        ):
            answer = await agent.post(url, content=body, headers={"Content-Type": kind})
            assert answer.status_code == status
        async with await trio.open_tcp_stream("127.0.0.1", httpx.URL(url).port or 0) as tcp:
            lines = b"Content-Type: application/json\r\nContent-Length: 8388609"
            await tcp.send_all(b"POST / HTTP/1.1\r\n" + lines + b"\r\n\r\n")
            assert (await tcp.receive_some()).startswith(b"HTTP/1.0 413 ")
        listener.process.terminate()
        assert await listener.ended() == 0
    assert len(await machine.published()) == len(PUBLISHED)


async def test_the_agent_goes_on_without_relay(machine: Machine, home: Path) -> None:
    command = handlers("settings.json")["Stop"]["command"]
    without_credentials = {name: machine.env[name] for name in ("PATH", "HOME")}
    done = await machine.run("sh", "-c", command, given=hook(STORY[-3][0]), env=without_credentials)
    assert (done.returncode, done.stdout) == (0, b"")
    assert re.match(rb"nothing is published: not connected to a Relay", done.stderr)


def test_everything_the_settings_name_is_in_the_readme() -> None:
    rows = re.findall(r"^\| (\w+) \| `(\w+)`", (AGENT / "README.md").read_text(), re.MULTILINE)
    assert dict(rows) == {
        fields["hook_event_name"]: published[0]
        for fields, published in STORY
        if published is not None
    }
