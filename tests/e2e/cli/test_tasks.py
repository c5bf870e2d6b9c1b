"""`relay tasks` as people and scripts run it: filters, pages, in a terminal, live, made anew."""

import json
import re
from pathlib import Path

import pytest

from tests.support.commands import RELAY, relay, running
from tests.support.databases import statement
from tests.support.relay_server import Relay, User
from tests.support.terminals import terminal
from tests.support.tokens import KEYS
from tests.support.watching import as_user

PROGRAM = """
import anyio, relay

print([(task.title, task.state, task.exit_code) for task in relay.tasks(state="failed")])
print([task.task_id for task in relay.tasks(limit=3)])
print([task.task_id for task in relay.tasks(search="BUILD", task_id=["t5", "t1", "none"])])
print([task.task_id for task in relay.tasks(parent_id="t1")])

async def read():
    return [task.started_at.tzinfo is not None async for task in relay.tasks(state=["running"])]

print(anyio.run(read))
for task in relay.tasks(task_id="t1").watch():
    print(task.title, task.progress, flush=True)
    if task.ended:
        break
"""


@pytest.fixture
async def user(relay: Relay) -> User:
    """Ten builds: one has failed, one has t1 as its parent, one is hidden, the others run."""
    user = await relay.user()
    for number in range(10):
        payload = {"title": f"build {number}", **({"parent_id": "t1"} if number == 7 else {})}
        await user.posted(event_type="task_started", task_id=f"t{number}", payload=payload)
    await user.posted(
        event_type="task_failed", task_id="t4", payload={"exit_code": 2, "message": "broke"}
    )
    await user.posted(event_type="task_started", task_id="h", payload={"title": "hidden one"})
    await user.call("PATCH", "/api/tasks", json={"task_ids": ["h"], "hidden": True})
    return user


async def tasks(user: User, home: Path, *arguments: str) -> tuple[int, list[str], str]:
    done = await relay(home, "tasks", *arguments, env=as_user(user, home))
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()


async def test_tasks_are_found_by_filters_and_printed_for_people_and_scripts(
    user: User, tmp_path: Path
) -> None:
    code, lines, counts = await tasks(user, tmp_path)
    assert (code, counts) == (0, "9 running, 1 failed.\n")
    assert lines[0].split() == ["STATE", "TASK", "DONE", "MESSAGE", "TOOK", "WHEN", "RUN", "ID"]
    assert [line.split()[-1] for line in lines[1:]] == ["t4", *(f"t{n}" for n in "987653210")]
    assert lines[1].startswith("✗ failed   build 4")
    assert "exit code 2  broke" in lines[1]
    for arguments, ids in (
        (["--state", "failed,lost"], ["t4"]),
        (["--parent", "t1"], ["t7"]),
        (["-q", "BUILD 8"], ["t8"]),
        (["--hidden"], ["h"]),
        (["--limit", "2"], ["t4", "t9"]),
        (["--search", "nothing"], []),
    ):
        code, lines, counts = await tasks(user, tmp_path, *arguments)
        assert (code, [line.split()[-1] for line in lines[1:]]) == (0, ids), arguments
        assert counts.startswith("9 running, 1 failed."), counts
        assert ("More match" in counts) == ("--limit" in arguments)
    code, lines, counts = await tasks(user, tmp_path, "--json", "--state", "failed")
    (task,) = ((await user.call("GET", "/api/tasks?state=failed")).json())["tasks"]
    assert (code, [json.loads(line) for line in lines], counts) == (0, [task], "")


async def test_all_pages_are_read_where_asked(user: User, tmp_path: Path) -> None:
    for number in range(130):
        await user.posted(event_type="task_started", task_id=f"more-{number}", payload={})
    for arguments in (("--all",), ("--json",)):
        code, lines, _counts = await tasks(user, tmp_path, *arguments)
        assert (code, len(lines)) == (0, 140 + ("--all" in arguments))
    code, lines, _counts = await tasks(user, tmp_path, "--json", "--limit", "105")
    assert (code, len(lines)) == (0, 105)


async def test_only_tokens_that_may_watch_read_tasks(user: User, tmp_path: Path) -> None:
    for scopes, code in ((["watch"], 0), (["webhook"], 0), (["publish"], 4)):
        token = (await user.token(scopes=scopes))["token"]
        done = await relay(tmp_path, "tasks", env={**as_user(user, tmp_path), "RELAY_TOKEN": token})
        assert (done.returncode, done.stderr.count(b"\n")) == (code, 1), done.stderr
    assert b"publish-only" in done.stderr


async def test_a_pipe_gets_each_change_as_a_line(user: User, tmp_path: Path) -> None:
    command = (*RELAY, "tasks", "--watch", "--state", "running", "-q", "build")
    env = as_user(user, tmp_path)
    async with (
        running((*command, "--json"), tmp_path, env) as scripted,
        running(command, tmp_path, env) as plain,
    ):
        await scripted.says('"task_id":"t9".*\n')
        await plain.says("build 9")
        known = [json.loads(line)["task_id"] for line in scripted.output.splitlines()]
        assert known == ["t0", "t1", "t2", "t3", "t5", "t6", "t7", "t8", "t9"]
        await user.posted(event_type="task_succeeded", task_id="t9", payload={})
        await scripted.says('"task_id":"t9",.*"state":"succeeded"')
        await plain.says("✓ succeeded  build 9")
        await user.posted(event_type="task_progress", task_id="t4", payload={})  # not of the filter
        await user.call("DELETE", "/api/tasks?task_id=t8")
        await scripted.says('{"task_id":"t8","deleted":true}')
        await plain.says("- deleted  t8")
        assert "t4" not in scripted.output


async def test_a_terminal_shows_a_table_that_is_drawn_anew(user: User, tmp_path: Path) -> None:
    env = as_user(user, tmp_path, TERM="xterm-256color", NO_COLOR="1")
    async with terminal([*RELAY, "tasks", "--watch"], env, size=(8, 60), cwd=tmp_path) as person:
        await person.sees(rb"failed +build 4")
        await person.sees(rb"9 running, 1 failed; 5 of 10 shown")
        await user.posted(event_type="task_succeeded", task_id="t0", payload={})
        await person.sees(rb"succeeded +build 0")
        await person.sees(rb"8 running, 1 succeeded, 1 failed")
        lines = re.split(r"[\r\n]|\x1b\[2K", person.seen.decode())
        shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]
        assert [line for line in shown if len(line) > 60] == []
        await person.types(b"\x03")
        assert await person.ended() == 130


async def test_a_program_reads_and_watches_tasks(user: User, tmp_path: Path) -> None:
    await user.posted(event_type="task_progress", task_id="t1", payload={"progress": 0.5})
    command = [RELAY[0], "-c", PROGRAM]
    async with running(command, tmp_path, as_user(user, tmp_path)) as program:
        await program.says("build 1 0.5\n")
        await user.posted(event_type="task_succeeded", task_id="t1", payload={"progress": 1})
        await program.says("build 1 1.0\n")
        assert await program.ended() == 0
    assert program.output.splitlines()[:5] == [
        "[('build 4', 'failed', 2)]",
        "['t1', 't4', 't9']",
        "['t1', 't5']",
        "['t7']",
        str([True] * 9),
    ]


async def test_the_operator_makes_tasks_anew_while_relay_serves(
    user: User, database_url: str, tmp_path: Path
) -> None:
    env = as_user(user, tmp_path, DATABASE_URL=database_url)
    env |= {"RELAY_SIGNING_KEYS": KEYS}
    before = (await user.call("GET", "/api/tasks")).json()
    await statement(database_url, "UPDATE tasks SET title = 'wrong' WHERE task_id IN ('t1', 't2')")
    async with user.websocket("?tasks=1") as stream:
        await stream.control("tasks")
        done = await relay(tmp_path, "tasks", "--rebuild", "--user", user.user_id, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"users    1\ntasks    11\nchanged  2\n"
        mended = [await stream.control("task") for _ in range(2)]
        assert sorted(one["task"]["title"] for one in mended) == ["build 1", "build 2"]
    assert (await user.call("GET", "/api/tasks")).json() == before
    done = await relay(tmp_path, "tasks", "--rebuild", env=env)
    assert done.stdout == b"users    1\ntasks    11\nchanged  0\n"
    unknown = "00000000-0000-4000-8000-000000000000"
    done = await relay(tmp_path, "tasks", "--rebuild", "--user", unknown, env=env)
    assert (done.returncode, b"There is no user" in done.stderr) == (1, True)
