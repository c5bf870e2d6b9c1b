"""`relay stop`: a person, or a script, stops a task from another terminal."""

import signal
from contextlib import suppress
from pathlib import Path

import trio

from tests.support.commands import RELAY, environment, running
from tests.support.commands import relay as run_relay
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import Relay, User
from tests.support.terminals import Person, terminal
from tests.support.watching import as_user

CTRL_C = b"\x03"


async def stop(user: User, home: Path, *arguments: str) -> tuple[int, bytes, str]:
    done = await run_relay(home, "stop", *arguments, env=as_user(user, home))
    return done.returncode, done.stdout, done.stderr.decode()


async def started(user: User, task_id: str, *, stoppable: bool = True) -> None:
    payload = {"title": f"job {task_id}", "stoppable": stoppable}
    await user.posted(event_type="task_started", task_id=task_id, payload=payload)


async def task(user: User, task_id: str) -> dict[str, object]:
    (found,) = (await user.call("GET", f"/api/tasks?task_id={task_id}")).json()["tasks"]
    shown: dict[str, object] = found
    return shown


async def requested(user: User, task_id: str) -> None:
    """Wait until the task was asked to stop."""
    with trio.fail_after(PATIENCE):
        while (await task(user, task_id))["stop_requested_at"] is None:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)


async def test_a_command_is_stopped_by_a_part_of_its_title_and_waited_for(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    options = ("--stoppable", "--task-id", "t", "--wait", str(PATIENCE))
    async with running((*RELAY, "run", *options, "--", "sleep", "600"), tmp_path, env) as command:
        with trio.fail_after(PATIENCE):
            while not (await user.call("GET", "/api/tasks")).json()["tasks"]:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        code, output, notes = await stop(user, tmp_path, "leep 6", "--yes", "--wait")
        assert (code, output) == (0, b"canceled\n"), notes
        assert notes == "Waiting for the end of sleep 600 (t)\n"
        assert await command.ended() == 130
    assert await stop(user, tmp_path, "t", "--wait") == (
        *(0, b"canceled\n", "sleep 600 (t) has ended already.\n"),
    )
    assert await stop(user, tmp_path, "t") == (0, b"", "sleep 600 (t) has ended already.\n")


async def insist(person: Person) -> None:
    """Press Ctrl-C until it is heard: what comes before the question is waited for is lost."""
    with suppress(trio.BrokenResourceError):  # it has ended
        while True:
            await person.types(CTRL_C)
            await trio.sleep(1)


async def test_a_terminal_is_asked_first_and_a_script_has_to_say_yes(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    await started(user, "t")
    code, output, why = await stop(user, tmp_path, "t")
    assert (code, output, "add --yes" in why) == (2, b"", True)
    env = as_user(user, tmp_path)
    for keys, code in ((b"n\r", 1), (CTRL_C, 130), (b"y\r", 0)):
        assert (await task(user, "t"))["stop_requested_at"] is None
        async with (
            terminal([*RELAY, "stop", "job"], env, cwd=tmp_path) as person,
            trio.open_nursery() as typing,
        ):
            await person.sees(rb"Stop job t \(t\), which is running\? \[y/N\]")
            if keys == CTRL_C:
                typing.start_soon(insist, person)
            else:
                await person.types(keys)
            assert await person.ended() == code, person.seen
            typing.cancel_scope.cancel()
    assert b"job t (t) was asked to stop." in person.seen
    assert (await task(user, "t"))["stop_requested_at"] is not None
    assert (await stop(user, tmp_path, "t", "-y"))[0] == 0  # again: the same


async def test_the_wait_ends_with_the_run_with_its_time_and_with_ctrl_c(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    env, words = as_user(user, tmp_path), ("stop", "t", "--yes", "--wait")
    await started(user, "t")
    async with running((*RELAY, *words), tmp_path, env) as waiting:
        await requested(user, "t")
        await started(user, "t")
        await waiting.says("superseded")
        assert await waiting.ended() == 0
    code, output, why = await stop(user, tmp_path, *words[1:], "--timeout", "1s")
    assert (code, output, "has not ended in time" in why) == (124, b"", True)
    await started(user, "t")
    async with running((*RELAY, *words), tmp_path, env) as waiting:
        await requested(user, "t")
        waiting.process.send_signal(signal.SIGINT)
        assert await waiting.ended() == 130
    async with running((*RELAY, *words), tmp_path, env) as waiting:
        await user.call("DELETE", "/api/tasks?task_id=t")
        assert await waiting.ended() == 1


async def test_what_cannot_be_stopped_is_named(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    await started(user, "plain", stoppable=False)
    await started(user, "other")
    for words, code, text in (
        (("plain", "--yes"), 1, "`relay run --stoppable`"),
        (("job", "--yes"), 1, "2 tasks match 'job'"),
        (("nothing", "--yes"), 1, "`relay tasks` lists them"),
        (("other", "--yes", "--timeout", "soon"), 2, "is not like"),
    ):
        found, output, why = await stop(user, tmp_path, *words)
        assert (found, output, text in why) == (code, b"", True), why
    env = as_user(user, tmp_path) | {"RELAY_TOKEN": await user.hook()}
    done = await run_relay(tmp_path, "stop", "other", "--yes", env=env)
    assert (done.returncode, done.stdout) == (4, b""), done.stderr
