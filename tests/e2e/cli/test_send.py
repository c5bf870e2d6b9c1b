"""`relay send` as scripts use it: real processes, a real Relay, receipts and exit codes."""

import json
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from relay.cli.main import main
from relay.client.credentials import (
    CredentialsFile,
    RelayTokens,
    load_credentials,
    save_credentials,
)
from tests.support.commands import RELAY, complaints, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, User
from tests.support.stand_in import TOKEN, StandIn, busy
from tests.support.terminals import piped


async def send(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    """In this process: starting one a command would be most of the time."""
    given = {**dict.fromkeys(("RELAY_URL", "RELAY_TOKEN")), **settings}
    run = partial(CliRunner().invoke, main, ["send", *arguments], env=given)
    with trio.fail_after(PATIENCE):
        done = await trio.to_thread.run_sync(run)
    return subprocess.CompletedProcess(
        arguments, done.exit_code, done.stdout_bytes, done.stderr_bytes
    )


async def pipe(stdin: bytes, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    """A process that reads its events from a pipe."""
    return await piped([*RELAY, "send", "-"], environment(**settings), stdin=stdin)


async def stored(user: User) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await user.call("GET", "/api/events")).json()["events"]
    return events


async def test_an_event_of_options_is_stored_and_its_receipt_shown(relay: Relay) -> None:
    user = await relay.user()
    who = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    words = ("--task-id", "build", "--progress", "0.4", "--message", "40 %", "--event-id", "e-1")
    first = await send("task_progress", *words, **who)
    assert (first.returncode, first.stdout) == (0, b"seq 1  id e-1\n"), first.stderr
    again = await send("task_progress", *words, "--json", **who)
    receipt = json.loads(again.stdout)
    assert (receipt["id"], receipt["seq"], receipt["duplicate"]) == ("e-1", 1, True)
    (event,) = await stored(user)
    assert event["payload"] == {"progress": 0.4, "message": "40 %"}
    assert (event["task_id"], event["ts"][-1]) == ("build", "Z")


async def test_a_payload_goes_as_it_is_written_and_options_into_it(relay: Relay) -> None:
    user = await relay.user()
    who = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    for words in (["--payload", "[1.50, null]"], ["--payload", '{"a": 1}', "--exit-code", "3"]):
        assert (await send("log", *words, **who)).returncode == 0
    payloads = [event["payload"] for event in await stored(user)]
    assert payloads == [[1.5, None], {"a": 1, "exit_code": 3}]
    wrong = await send("log", "--payload", "{", **who)
    assert (wrong.returncode, b"--payload" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("stdin", "receipt"),
    [
        (b'{"event_type": "log", "payload": {"n": 1}}', b"seq 1  id "),
        (b'{\n  "event_type": "log",\n  "payload": {"n": 1}\n}\n', b"seq 1  id "),
        (b'{"event_type": "log", "payload": {"n": 1}}\n\n' * 3, b"3 stored  seq 1 to 3\n"),
    ],
)
async def test_events_come_on_stdin(relay: Relay, stdin: bytes, receipt: bytes) -> None:
    user = await relay.user()
    done = await pipe(stdin, RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    assert (done.returncode, done.stdout[: len(receipt)]) == (0, receipt), done.stderr
    assert {event["payload"]["n"] for event in await stored(user)} == {1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("log", "hello", "world"), b'--message "hello world"'),
        (
            ("task_progress", "--progress", "40%"),
            b"'40%' is not between 0 and 1; write",
        ),
        (("task_progress", "--progress", "40"), b"'40' is not between 0 and 1; write 40 % as 0.4"),
        (("log", "--mesage", "x"), b"--mesage"),
    ],
)
async def test_a_usage_error_shows_the_right_usage(words: tuple[str, ...], said: bytes) -> None:
    done = await send(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


async def test_a_line_is_sent_when_it_comes_not_when_stdin_ends(relay: Relay) -> None:
    user = await relay.user()
    process = await trio.lowlevel.open_process(
        [*RELAY, "send", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook()),
        start_new_session=True,
    )
    with trio.fail_after(PATIENCE):
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            for number in (1, 2):
                line = b'{"event_type":"log","payload":%d,"event_id":"e-%d"}\n' % (number, number)
                await process.stdin.send_all(line)
                shown = await process.stdout.receive_some()
                assert shown == b"seq %d  id e-%d\n" % (number, number)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130


async def test_many_lines_go_in_batches(stand_in: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"event_type":"log","payload":{}}\n' * 5_000)
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    with path.open("rb") as events:  # all of it is there at once
        done = await piped([*RELAY, "send", "-"], env, stdin=events)
    assert (done.returncode, len(stand_in.events)) == (0, 5_000)
    assert stand_in.batches == [1_000] * 5


async def test_a_line_that_is_no_event_ends_it_and_is_named(relay: Relay) -> None:
    user = await relay.user()
    who = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    good = b'{"event_type":"log","payload":{}}\n'
    for stdin, said in (
        (good + b"hello\n", b"line 2 of stdin is not a JSON object"),
        (b"[" + good + b"]", b"Write one event per line, as `jq -c` does"),
        (good + b'\n\n{"event_type":"x"}\n', b"line 4: event_type: must be one of"),
        (b'\n{"event_type":"log"}\n', b"line 2 of stdin: Relay refused this event"),
    ):
        done = await pipe(stdin, **who)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert await stored(user) == []


async def test_every_kind_of_failure_has_its_exit_code(
    relay: Relay, stand_in: StandIn, away: str
) -> None:
    user = await relay.user()
    hook = await user.hook()
    watcher = (await user.token(scopes=["watch"]))["token"]
    stand_in.always = busy("60", 429)
    cases = [
        (4, "RELAY_TOKEN", {}),
        (
            4,
            "Run `relay login`, or set RELAY_TOKEN.",
            {"RELAY_URL": relay.url, "RELAY_TOKEN": "nonsense"},
        ),
        (4, "publish", {"RELAY_TOKEN": watcher}),
        (5, "does not answer", {"RELAY_URL": away, "RELAY_TOKEN": hook}),
        (5, "Too much", {"RELAY_URL": stand_in.url, "RELAY_TOKEN": hook}),
        (1, "no Relay", {"RELAY_URL": f"{relay.url}/elsewhere", "RELAY_TOKEN": hook}),
    ]

    for code, said, who in cases:
        done = await send("log", "--wait", "0.1", **who)
        (line,) = complaints(done.stderr)
        assert (done.returncode, done.stdout, said in line) == (code, b"", True), line
        assert hook not in line
    # and once as a script sees it
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=watcher)
    done = await piped([*RELAY, "send", "log"], env)
    assert (done.returncode, done.stdout, len(complaints(done.stderr))) == (4, b"", 1)
    assert (await send("nothing")).returncode == 2
    mixed = await send("-", "--task-id", "x")
    assert (mixed.returncode, b"--task-id cannot be used" in mixed.stderr) == (2, True)


async def test_a_token_alone_names_its_relay(relay: Relay) -> None:
    user = await relay.user()
    assert (await send("log", RELAY_TOKEN=await user.hook())).returncode == 0
    assert (await send("log", "--token", await user.hook())).returncode == 0


async def test_stored_credentials_are_the_default(relay: Relay, home: Path, away: str) -> None:
    user = await relay.user()
    kept = CredentialsFile(relay.url, {relay.url: RelayTokens(hook_token=await user.hook())})
    save_credentials(kept)
    path = home / "config" / "relay" / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert load_credentials() == kept
    assert (await send("log")).returncode == 0
    # a token goes to the address it stands under, and to no other
    elsewhere = await send("log", "--url", away)
    assert (elsewhere.returncode, f"no token for {away}" in elsewhere.stderr.decode()) == (4, True)
    path.chmod(0o644)
    open_to_all = await send("log")
    assert (open_to_all.returncode, b"chmod 600" in open_to_all.stderr) == (4, True)
