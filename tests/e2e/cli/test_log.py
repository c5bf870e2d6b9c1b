"""`relay log` as people and scripts run it: what is stored, what comes, and how it ended."""

import json
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.commands import RELAY, Command, relay, running
from tests.support.databases import trim
from tests.support.patience import LOOK_EVERY
from tests.support.relay_server import Relay, User, bearer
from tests.support.tcp_proxy import TcpProxy, proxied
from tests.support.terminals import terminal
from tests.support.watching import as_user, watched

TITLES = {"a": "make test", "b": "make test-all", "c": "deploy", "d": "redeploy", "e": "make lint"}


async def started(user: User, task_id: str, title: str, *messages: str) -> None:
    await user.posted(event_type="task_started", task_id=task_id, payload={"title": title})
    for message in messages:
        await user.posted(task_id=task_id, payload={"message": message})


async def log(user: User, home: Path, *arguments: str) -> tuple[int, bytes, str]:
    done = await relay(home, "log", *arguments, env=as_user(user, home))
    return done.returncode, done.stdout, done.stderr.decode()


async def test_a_run_is_printed_as_it_was_and_other_runs_where_asked(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    await started(user, "t", "build", "one\ntwo\n", "\x1b[31mred\x1b[0m é", "")
    await user.posted(event_type="task_failed", task_id="t", payload={"message": "not printed"})
    await started(user, "t", "build", "second run")
    assert await log(user, tmp_path, "t") == (0, b"second run\n", "")
    first = "one\ntwo\n\x1b[31mred\x1b[0m é\n\n".encode()
    assert await log(user, tmp_path, "t", "--run", "1") == (0, first, "")
    assert await log(user, tmp_path, "t", "--run", "1", "-f") == (6, first, "")
    code, output, _ = await log(user, tmp_path, "t", "--run", "1", "--json")
    assert [json.loads(line)["seq"] for line in output.splitlines()] == [1, 2, 3, 4, 5]
    code, output, why = await log(user, tmp_path, "t", "--run", "3")
    assert (code, output, "nothing of this run is stored" in why) == (1, b"", True)


async def test_a_task_is_found_by_id_title_beginning_and_part(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    for task_id, title in TITLES.items():
        await started(user, task_id, title, f"of {task_id}")
    for name, task_id in (
        *(("a", "a"), ("make test", "a"), ("MAKE TEST", "a"), ("make test-", "b")),
        *(("deploy", "c"), ("dep", "c"), ("redep", "d"), ("lint", "e")),
    ):
        assert await log(user, tmp_path, name) == (0, f"of {task_id}\n".encode(), ""), name
    code, _, why = await log(user, tmp_path, "make")
    assert (code, why.count("\n")) == (1, 1)
    assert why.index("e (make lint, running") < why.index("b (make test-all") < why.index("a (make")
    code, _, why = await log(user, tmp_path, "no such thing")
    assert (code, "`relay tasks` lists them" in why) == (1, True)


async def test_a_terminal_gets_colours_and_no_other_sequences(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    await started(user, "t", "build", "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\nend")
    for no_color, shown in (
        ("", b"\x1b[31mred\x1b[0m\r\nend\r\n"),
        ("1", b"red\r\nend\r\n"),
    ):
        env = as_user(user, tmp_path, TERM="xterm", NO_COLOR=no_color)
        async with terminal([*RELAY, "log", "t"], env, cwd=tmp_path) as person:
            assert await person.ended() == 0
            assert person.seen == shown


async def says(command: Command, text: str) -> None:
    await command.says(rf"(?m)^{text}$")


async def test_following_loses_nothing_and_repeats_nothing_until_the_end(
    relay: Relay, tmp_path: Path
) -> None:
    user, lines, followers = await relay.user(), 200, 5
    await started(user, "t", "busy", *(f"before {number}" for number in range(20)))

    async def post() -> None:
        headers = bearer(await user.hook()) | {"Content-Type": "application/x-ndjson"}
        one = {"event_type": "log", "ts": "2026-01-31T12:00:00Z"}
        for number in range(lines):
            batch = [
                json.dumps({**one, "task_id": task_id, "payload": {"message": f"line {number}"}})
                for task_id in ("t", "another")
            ]
            path = "/api/webhook/cli"
            answer = await relay.http.post(path, content="\n".join(batch), headers=headers)
            assert answer.status_code == 200, answer.text
        await user.posted(event_type="task_succeeded", task_id="t", payload={})
        await user.posted(task_id="t", payload={"message": "after the end"})

    outputs: list[tuple[int, bytes, str]] = []

    async def follow(delay: float) -> None:
        await trio.sleep(delay)
        outputs.append(await log(user, tmp_path, "busy", "--follow"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post)
        for number in range(followers):
            nursery.start_soon(follow, number * LOOK_EVERY)
    expected = [*(f"before {n}" for n in range(20)), *(f"line {n}" for n in range(lines))]
    for code, output, why in outputs:
        known = output.decode().splitlines()
        assert known[: len(expected)] == expected
        assert known[len(expected) :] in ([], ["after the end"])  # it was stored already
        assert (code, why) == (0, "")


@pytest.mark.parametrize(
    ("ending", "code", "note"),
    [
        ({"event_type": "task_succeeded"}, 0, ""),
        ({"event_type": "task_failed"}, 6, ""),
        ({"event_type": "task_failed", "payload": {"canceled": True}}, 6, ""),
        ({"event_type": "task_started"}, 6, "started again"),
    ],
)
async def test_the_exit_code_says_how_the_run_ended(
    relay: Relay, tmp_path: Path, ending: dict[str, object], code: int, note: str
) -> None:
    user = await relay.user()
    await started(user, "t", "build", "one")
    env = as_user(user, tmp_path)
    async with running((*RELAY, "log", "t", "-f"), tmp_path, env) as follower:
        await says(follower, "one")
        await user.posted(task_id="t", payload={"message": "two"})
        await says(follower, "two")
        await user.posted(task_id="t", **ending)
        assert await follower.ended() == code
    assert note in (tmp_path / "stderr.log").read_text()
    done = await log(user, tmp_path, "t", "-f") if note == "" else (code, b"one\ntwo\n", "")
    assert done == (code, b"one\ntwo\n", "")


async def test_tasks_without_an_id_trimmed_and_deleted_ones_are_followed(
    relay: Relay, database_url: str, tmp_path: Path
) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", payload={"title": "no id"})
    await started(user, "gone", "gone", "trimmed")
    env = as_user(user, tmp_path)
    (untitled,) = (await user.call("GET", "/api/tasks?q=no%20id")).json()["tasks"]
    await trim(database_url, user, 4)
    code, output, why = await log(user, tmp_path, "gone")
    assert (code, output, "nothing of this run" in why) == (1, b"", True)
    async with (
        running((*RELAY, "log", untitled["task_id"], "-f", "--json"), tmp_path, env) as nameless,
        running((*RELAY, "log", "gone", "-f"), tmp_path, env) as gone,
    ):
        await watched(user, 2)
        await user.posted(task_id="gone", payload={"message": "later"})
        await says(gone, "later")
        await user.call("DELETE", "/api/tasks?task_id=gone")
        assert await gone.ended() == 1
        await user.posted(event_type="task_succeeded", payload={"title": "no id"})
        await nameless.says("task_succeeded")
        assert await nameless.ended() == 0
    assert "The task was deleted. `relay tasks` lists" in (tmp_path / "stderr.log").read_text()


async def test_a_run_whose_end_was_trimmed_while_relay_was_away_has_ended(
    relay: Relay, database_url: str, tmp_path: Path
) -> None:
    user = await relay.user()
    await started(user, "t", "build", "one")
    proxy = TcpProxy(partial(trio.open_tcp_stream, relay.host, relay.port))
    async with proxied(proxy):
        env = as_user(user, tmp_path) | {"RELAY_URL": f"http://127.0.0.1:{proxy.port}"}
        async with running((*RELAY, "log", "t", "-f"), tmp_path, env) as follower:
            await says(follower, "one")
            await watched(user)
            proxy.refusing = True
            await proxy.cut()
            await user.posted(event_type="task_failed", task_id="t", payload={})
            for number in range(3):
                await user.posted(task_id="another", payload={"message": f"{number}"})
            await trim(database_url, user, 6)
            proxy.refusing = False
            assert await follower.ended() == 6
    assert "events are no longer stored" in (tmp_path / "stderr.log").read_text()
