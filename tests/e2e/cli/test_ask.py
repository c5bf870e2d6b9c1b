"""`relay ask`, `relay answer` and `task.ask`: a program asks, a person answers from a terminal."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.client.reported_task import task
from tests.support.asking import ASK, asking, asking_as
from tests.support.commands import RELAY, environment
from tests.support.commands import relay as run_relay
from tests.support.databases import statement
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, User, calls_wait
from tests.support.tcp_proxy import Dial, TcpProxy, proxied

Done = "subprocess.CompletedProcess[bytes]"


async def answer(user: User, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    env = environment(RELAY_URL=user.relay.url, RELAY_TOKEN=user.session)
    return await run_relay(folder, "answer", *arguments, env=env)


async def open_ask(user: User) -> dict[str, Any]:
    (ask,) = (await user.call("GET", "/api/asks")).json()["asks"]
    found: dict[str, Any] = ask
    return found


async def test_a_choice_is_answered_by_its_number(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    details = '{"commit": "59677f0"}'
    words = ("Deploy?", "--options", "yes, no", "--details", details)
    async with asking(user, *words, "--task-id", "t") as asker:
        ask = await open_ask(user)
        assert (ask["options"], ask["details"]) == (["yes", "no"], json.loads(details))
        assert ask["task_id"] == "t"
        shown = await answer(user, tmp_path)
        assert ask["ask_id"][:8].encode() in shown.stdout
        assert b"Deploy?" in shown.stdout
        done = await answer(user, tmp_path, ask["ask_id"][:8], "1")
        assert done.returncode == 0, done.stderr
    assert (asker.code, asker.stdout) == (0, b"yes\n"), asker.stderr
    nothing = await answer(user, tmp_path)
    assert (nothing.returncode, nothing.stderr) == (0, b"Nothing is asked.\n")


async def test_another_option_is_1_and_a_text_is_0(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    async with asking(user, "Deploy?", "--options", "yes,no", "--json") as asker:
        ask_id = (await open_ask(user))["ask_id"]
        wrong = await answer(user, tmp_path, ask_id, "maybe")
        assert wrong.returncode == 1
        assert b"answer with yes, no" in wrong.stderr
        await answer(user, tmp_path, ask_id, "no")
    assert asker.code == 1
    assert json.loads(asker.stdout) == {"state": "answered", "answer": "no"}
    async with asking(user, "Which branch?", "--timeout", "15m") as asker:
        await answer(user, tmp_path, (await open_ask(user))["ask_id"], "main")
    assert (asker.code, asker.stdout) == (0, b"main\n")


async def test_without_an_answer_nothing_is_printed(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    async with asking(user, "Deploy?", "--options", "yes,no") as asker:
        await user.call("DELETE", f"/api/asks/{(await open_ask(user))['ask_id']}")
    assert (asker.code, asker.stdout) == (3, b"")
    async with asking(user, "Deploy?", "--options", "yes,no") as asker:
        await statement(database_url, "UPDATE asks SET expires_at = now()")
    assert (asker.code, asker.stdout) == (124, b""), asker.stderr


@pytest.mark.parametrize("stdout", ["full", "unread"])
async def test_an_answer_that_stdout_does_not_take_is_not_the_exit_code(
    relay: Relay, tmp_path: Path, stdout: str
) -> None:
    user = await relay.user()
    read, unread = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    process = await trio.lowlevel.open_process(
        [*ASK, "Deploy?", "--options", "yes,no"],
        env=await asking_as(user),
        stdin=subprocess.DEVNULL,
        stdout={"full": full, "unread": unread}[stdout],
        stderr=subprocess.PIPE,
    )
    os.close(full)
    os.close(unread)
    await calls_wait(relay, 1)
    await answer(user, tmp_path, (await open_ask(user))["ask_id"], "yes")
    assert process.stderr is not None
    printed = b"".join([part async for part in process.stderr]).decode()
    why = {
        "full": "stdout cannot be written: No space left on device.",
        "unread": "stdout has no reader",
    }
    assert printed.splitlines()[1:] == [f"Error: {why[stdout]}"]
    assert await process.wait() == 7


async def test_details_come_from_stdin_and_a_relay_that_is_away_is_given_up(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    plan = tmp_path / "plan.json"
    for text, code in (('{"add": 2}', 143), ("{", 2), (f'"{"x" * 16_384}"', 2)):
        plan.write_text(text)
        with plan.open("rb") as stdin:
            command = [*RELAY, "ask", "Apply?", "--details", "-"]
            process = await trio.lowlevel.open_process(
                command, env=env, stdin=stdin, stderr=subprocess.DEVNULL
            )
        if code == 143:
            await calls_wait(relay, 1)
            assert (await open_ask(user))["details"] == {"add": 2}
            process.terminate()
        with trio.fail_after(PATIENCE):
            assert await process.wait() == code
    with HeldPort() as port:
        env["RELAY_URL"] = f"http://127.0.0.1:{port.number}"
        done = await run_relay(tmp_path, "ask", "Apply?", "--wait", "0", env=env)
    assert (done.returncode, done.stdout) == (5, b"")


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT, signal.SIGTERM], 130),  # Ctrl-C, and a program that ends its child then
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP] * 3, 129),  # of a terminal that is closed, by the kernel and by shells
    ],
)
async def test_interrupted_it_withdraws_the_ask(
    relay: Relay, numbers: list[signal.Signals], code: int
) -> None:
    user = await relay.user()
    async with asking(user, "Deploy?") as asker:
        ask_id = (await open_ask(user))["ask_id"]
        for number in numbers:
            asker.process.send_signal(number)
    assert asker.code == code, asker.stderr
    assert (await user.call("GET", f"/api/asks/{ask_id}")).json()["state"] == "withdrawn"


@pytest.fixture
def _nohup() -> Iterator[None]:
    """Programs that the test starts ignore SIGHUP, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_nohup")
async def test_under_nohup_it_waits_on_when_its_terminal_is_closed(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    async with asking(user, "Deploy?") as asker:
        asker.process.send_signal(signal.SIGHUP)
        await answer(user, tmp_path, (await open_ask(user))["ask_id"], "go")
    assert (asker.code, asker.stdout) == (0, b"go\n"), asker.stderr


class FirstAnswerHeld(TcpProxy):
    """What Relay answers on the first connection never arrives."""

    def __init__(self, dial: Dial) -> None:
        super().__init__(dial)
        self._is_first = True

    async def answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        if self._is_first:
            self._is_first = False
            await trio.sleep_forever()
        await super().answer(server, client)


async def test_interrupted_before_relays_answer_it_withdraws_the_ask(relay: Relay) -> None:
    user = await relay.user()
    port = int(relay.url.rpartition(":")[2])
    proxy = FirstAnswerHeld(partial(trio.open_tcp_stream, "127.0.0.1", port))
    async with proxied(proxy):
        env = await asking_as(user, f"http://127.0.0.1:{proxy.port}")
        process = await trio.lowlevel.open_process(
            [*ASK, "Deploy?"], env=env, stderr=subprocess.DEVNULL
        )
        with trio.fail_after(PATIENCE):
            while not (asks := (await user.call("GET", "/api/asks")).json()["asks"]):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    ask_id = asks[0]["ask_id"]
    assert (await user.call("GET", f"/api/asks/{ask_id}")).json()["state"] == "withdrawn"
    assert (await user.call("GET", "/api/asks")).json() == {"asks": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("Deploy?", "--options", "yes"),
        ("Deploy?", "--options", "yes,yes"),
        ("Deploy?", "--timeout", "soon"),
        ("Deploy?", "--timeout", "9s"),
        ("Deploy?", "--details", "{"),
    ],
)
async def test_a_wrong_command_line_asks_nothing(
    relay: Relay, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    done = await run_relay(tmp_path, "ask", *arguments, env=env)
    assert done.returncode == 2, done.stderr
    assert (await user.call("GET", "/api/asks")).json() == {"asks": []}


async def test_a_python_task_asks(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.client.asking.STOPPABLE_WAIT_SECONDS", 1)
    user = await relay.user()
    answers: list[str | None] = []
    hook = await user.hook()
    async with task("deploy", task_id="t", url=relay.url, token=hook) as working:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await working.ask_async("Deploy?", ["yes", "no"], timeout=60))

            nursery.start_soon(ask)
            await calls_wait(relay, 1)
            asked = await open_ask(user)
            assert asked["task_id"] == "t"
            await answer(user, tmp_path, asked["ask_id"], "yes")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(working.ask_async, "And now?"))
            await calls_wait(relay, 1)
            nursery.cancel_scope.cancel()
        with trio.fail_after(PATIENCE):
            while (await user.call("GET", "/api/asks")).json()["asks"]:  # noqa: ASYNC110 - a thread
                await trio.sleep(LOOK_EVERY)
    assert answers == ["yes"]
    assert await trio.to_thread.run_sync(working.ask, "Too late?") is None
