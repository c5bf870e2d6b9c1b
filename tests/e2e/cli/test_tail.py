"""`relay tail` in a pipe: across restarts, and with credentials that end."""

import json
import re
import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path

import trio

from relay.client.credentials import Credentials
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import ConnectionLost, StreamReader
from relay.db.pool import connect
from tests.support.browser.page_proxy import relay_behind
from tests.support.commands import RELAY, Command, run_command, running
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.projections import count_as_folded
from tests.support.relay_server import Relay, User, running_relay
from tests.support.tail_terminal import in_terminal
from tests.support.terminals import piped
from tests.support.watching import as_user, watched


def tailing(user: User, home: Path, *arguments: str) -> AbstractAsyncContextManager[Command]:
    return running((*RELAY, "tail", *arguments), home, as_user(user, home))


async def lines(tail: Command, count: int) -> list[bytes]:
    """Its first so many lines."""
    await tail.says(rf"(?s)\A(?:[^\n]*\n){{{count}}}")
    return tail.output.encode().splitlines()[:count]


async def test_tail_waits_for_relay_and_a_pipe_gets_each_event_as_sent_across_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    port = HeldPort()
    bind = f"127.0.0.1:{port.number}"
    async with running_relay(database_url, RELAY_BIND=bind) as relay:
        user = await relay.user()
        hook = await user.hook()
        await user.publish(1)
    stack = AsyncExitStack()
    log = tmp_path / "stderr.log"
    tail = await stack.enter_async_context(tailing(user, tmp_path, "--json", "--after", "oldest"))
    with trio.fail_after(PATIENCE):
        while "does not answer" not in log.read_text():  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    async with running_relay(database_url, RELAY_BIND=bind) as relay:
        user.relay = relay
        await user.publish(1)
        await lines(tail, 2)
    async with running_relay(database_url, RELAY_BIND=bind) as relay:
        user.relay = relay
        await user.posted(hook=hook, payload={"n": "after the restart", "x": [1.0, "é"]})
        seen = await lines(tail, 3)
        assert [json.loads(line)["seq"] for line in seen] == [1, 2, 3]
        assert '"payload":{"n":"after the restart"' in seen[2].decode().replace(": ", ":")
        tail.process.send_signal(signal.SIGINT)
        assert await tail.ended() == 130
        await stack.aclose()
    output = log.read_text().splitlines()
    assert [line.startswith("relay: ") for line in output] == [True] * len(output)
    assert "reconnected" in output[-1]


async def test_an_encoding_without_the_signs_of_lines_gets_them_escaped(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={"title": "caf\xe9 \u2026"})
    env = as_user(user, tmp_path) | {"PYTHONIOENCODING": "iso-8859-1"}
    async with running((*RELAY, "tail", "--after", "oldest"), tmp_path, env) as tail:
        assert tail.process.stdout is not None
        shown = b""
        with trio.fail_after(PATIENCE):
            while b"\n" not in shown:
                more = await tail.process.stdout.receive_some()
                assert more, (tmp_path / "stderr.log").read_text()
                shown += more
    assert b"\\u25b6" in shown
    assert b"caf\xe9 \\u2026" in shown
    helped = await run_command((*RELAY, "ask", "--help"), tmp_path, env)
    assert (helped.returncode, b"A,B,\\u2026" in helped.stdout) == (0, True)


async def test_a_silent_connection_is_given_up_and_nothing_is_missed(
    database_url: str,
) -> None:
    """As when a laptop wakes up elsewhere: no packet shows that the other end is gone."""
    async with relay_behind(database_url) as (box, relay):
        user = await relay.user()
        epoch = (await user.call("GET", "/api/me")).json()["cursor"].partition(".")[0]
        await user.publish(1)
        stream = StreamReader(Credentials(box.url, user.session), {}, silence=1.0)
        # as if it had been connected before: a slow start is a break, too, and no end
        stream.cursor = f"{epoch}.0"
        seen: list[str] = []
        sender, receiver = trio.open_memory_channel[str](100)

        def read() -> None:
            for heard in stream.read():
                names = (
                    ["break"]
                    if isinstance(heard, ConnectionLost)
                    else [str(_name(one)) for one in heard]
                )
                for name in names:
                    trio.from_thread.run_sync(sender.send_nowait, name)
                if "3" in names:
                    return

        async def sees(name: str) -> None:
            with trio.fail_after(PATIENCE):
                while name not in seen:
                    seen.append(await receiver.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, read, abandon_on_cancel=True))
            await sees("1")
            box.stall()
            await user.publish(1)
            await sees("2")
            assert "break" in seen[seen.index("1") : seen.index("2")]
            await user.publish(1)
            await sees("3")
        assert [name for name in seen if name.isdigit()] == ["1", "2", "3"]


def _name(one: StreamMessage) -> object:
    return one.control or (one.event and one.event.seq)


async def test_a_closed_output_pipe_ends_tail_at_once_and_quietly(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    await user.publish(1)
    script = '"$@" | head -n 1; echo ${PIPESTATUS[0]}'
    command = ["bash", "-c", script, "-", *RELAY, "tail", "--json", "--after", "oldest"]
    done = await piped(command, as_user(user, tmp_path))
    event, code = done.stdout.splitlines()
    assert (json.loads(event)["seq"], code, done.stderr) == (1, b"141", b"")


async def test_off_a_terminal_and_with_no_color_no_colour_is_written(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    red = "\x1b[31mred\x1b[0m"
    await user.posted(event_type="task_started", task_id="t", payload={"title": "build"})
    await user.posted(task_id="t", payload={"message": red, "level": "error"})
    async with tailing(user, tmp_path, "--last", "2") as tail:
        await tail.says("red")
        assert "\x1b" not in tail.output
    async with in_terminal(user, tmp_path, "--last", "2", NO_COLOR="1") as terminal:
        await terminal.shows("red")
        # bold and dim are no colours
        assert re.findall(r"\x1b\[[0-9;]*(?<![0-9])3[0-9][0-9;]*m", terminal.written) == []


async def test_one_task_is_followed_by_its_id(relay: Relay, tmp_path: Path) -> None:
    user = await relay.user()
    for task in ("a", "b", "a"):
        await user.posted(task_id=task)
    async with tailing(user, tmp_path, "--json", "--last", "3", "--task", "a") as tail:
        assert [json.loads(line)["seq"] for line in await lines(tail, 2)] == [1, 3]


async def test_gaps_and_new_epochs_are_shown(
    relay: Relay, database_url: str, tmp_path: Path
) -> None:
    user = await relay.user()
    await user.publish(3)
    epoch = (await user.call("GET", "/api/me")).json()["cursor"].partition(".")[0]
    async with connect(database_url, timeout=PATIENCE) as database:
        await count_as_folded(database)
        await database.execute(
            "SELECT trim_stream($1::uuid, 1, 1000000, '1970-01-01', 500)", user.user_id
        )
    for cursor, event_of in (
        (f"{epoch}.0", "2 events are no longer stored"),
        ("other.7", "starts over"),
    ):
        async with tailing(user, tmp_path, "--json", "--after", cursor) as tail:
            assert json.loads((await lines(tail, 1))[0])["seq"] == 3
        assert event_of in (tmp_path / "stderr.log").read_text()


async def test_a_revoked_credential_is_one_line_and_exit_code_4(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    async with tailing(user, tmp_path) as tail:
        await watched(user)
        await user.call("DELETE", "/api/session")
        assert await tail.ended() == 4
    (line,) = (tmp_path / "stderr.log").read_text().splitlines()
    assert "RELAY_TOKEN" in line


async def test_the_first_line_has_the_title_of_a_task_that_began_long_ago(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={"title": "train it"})
    await user.posted(event_type="task_started", payload={"title": "without an id"})
    await user.posted(task_id="t", payload={"message": "late"})
    await user.posted(event_type="task_progress", payload={"title": "without an id"})
    async with tailing(user, tmp_path, "--last", "2") as tail:
        first, second = await lines(tail, 2)
        assert first.endswith(b"train it  late")
        assert second.endswith(b" without an id")
    async with in_terminal(user, tmp_path, "--last", "1") as terminal:
        await terminal.shows("train it")  # it runs, so it has a row
