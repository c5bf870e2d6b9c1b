"""`relay send` as scripts use it: real processes, a real Relay, receipts and exit codes."""

import json
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
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
from tests.support.relay_server import Relay, User, bearer, running_relay
from tests.support.stand_in import TOKEN, Answer, StandIn, busy, refusal
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
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    words = ("--task-id", "build", "--progress", "0.4", "--message", "40 %", "--event-id", "e-1")
    first = await send("task_progress", *words, **account)
    assert (first.returncode, first.stdout) == (0, b"seq 1  id e-1\n"), first.stderr
    again = await send("task_progress", *words, "--json", **account)
    receipt = json.loads(again.stdout)
    assert (receipt["id"], receipt["seq"], receipt["duplicate"]) == ("e-1", 1, True)
    (event,) = await stored(user)
    assert event["payload"] == {"progress": 0.4, "message": "40 %"}
    assert (event["task_id"], event["ts"][-1]) == ("build", "Z")


async def test_a_payload_goes_as_it_is_written_and_options_into_it(relay: Relay) -> None:
    user = await relay.user()
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    for words in (["--payload", "[1.50, null]"], ["--payload", '{"a": 1}', "--exit-code", "3"]):
        assert (await send("log", *words, **account)).returncode == 0
    payloads = [event["payload"] for event in await stored(user)]
    assert payloads == [[1.5, None], {"a": 1, "exit_code": 3}]
    wrong = await send("log", "--payload", "{", **account)
    assert (wrong.returncode, b"--payload" in wrong.stderr) == (2, True)


PAYLOADS = [
    "1e400",
    "-1e400",
    '{"n": 1e400, "m": [1E+999, 1e-999]}',
    '{"n":%s}' % ("9" * 5_000),
    "9" * 4_301,
    "1.0000000000000000000000001",
    '{"a": 1, "a": 2}',
    "[1.50, null]",
    '{\n  "a":\t1\r\n}',
    '"\\u0000 \\ud83d\\ude00 é"',
    "[" * 60 + "]" * 60,
    "null",
    "\ufeff{}",
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload[:20])
async def test_a_payload_of_any_json_goes_byte_for_byte(relay: Relay, payload: str) -> None:
    user = await relay.user()
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    done = await send("log", "--payload", payload, **account)
    assert done.returncode == 0, done.stderr
    line = b'{"event_type":"log","payload":%s}\n' % payload.encode()
    if "\n" not in payload:
        assert (await pipe(line.replace(b"\xef\xbb\xbf", b""), **account)).returncode == 0
    # a client of its own: Python's JSON, which checks answers elsewhere, reads no number so long
    async with httpx.AsyncClient(headers=bearer(user.session)) as http:
        answer = await http.get(f"{relay.url}/api/events")
    bare = payload.removeprefix("\ufeff").replace("\n", " ").replace("\r", " ")
    assert answer.text.count(f'"payload":{bare}') == (1 if "\n" in payload else 2), answer.text


async def test_options_are_added_to_a_payload_whose_rest_stays(relay: Relay) -> None:
    user = await relay.user()
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    words = ("--payload", '{"n": 1e400, "level": "info"}', "--message", "hi", "--level", "error")
    assert (await send("log", *words, **account)).returncode == 0
    answer = await user.call("GET", "/api/events")
    assert '"payload":{"n":1e400,"level":"error","message":"hi"}' in answer.text
    for wrong in ('{"n": NaN}', "{", "[1,]", "", "'x'", "\udcff"):
        refused = await send("log", "--payload", wrong, **account)
        assert (refused.returncode, b"--payload" in refused.stderr) == (2, True), refused.stderr
    no_object = await send("log", "--payload", "[1]", "--message", "x", **account)
    assert (no_object.returncode, b"it must be an object" in no_object.stderr) == (2, True)


LINE = '{"event_type":"log","payload":{"n":1}}'
FILES = {
    "byte order mark": (LINE + "\n").encode("utf-8-sig"),
    "CRLF": f"{LINE}\r\n{LINE}\r\n".encode(),
    "byte order mark and CRLF": f"{LINE}\r\n\r\n{LINE}\r\n".encode("utf-8-sig"),
    "two files with marks": (LINE + "\n").encode("utf-8-sig") * 2,
    "a document with a mark and CRLF": LINE.replace(",", ",\r\n").encode("utf-8-sig"),
    "white space around": f"\n \t{LINE} \t\n\n".encode(),
}


@pytest.mark.parametrize("stdin", FILES.values(), ids=FILES.keys())
async def test_files_of_other_systems_are_taken(relay: Relay, stdin: bytes) -> None:
    user = await relay.user()
    done = await pipe(stdin, RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in await stored(user)] == [{"n": 1}] * stdin.count(b'{"e')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_a_file_in_another_encoding_is_named(stand_in: StandIn, encoding: str) -> None:
    account = {"RELAY_URL": stand_in.url, "RELAY_TOKEN": TOKEN}
    done = await pipe(f"{LINE}\r\n{LINE}\r\n".encode(encoding), **account)
    (line,) = complaints(done.stderr)
    assert (done.returncode, stand_in.requests) == (1, 0)
    assert line.startswith(f"Error: stdin is UTF-{encoding[4:6]}")
    assert "Save it as UTF-8" in line


async def test_a_line_beyond_every_request_is_refused_before_it_fills_memory(
    stand_in: StandIn,
) -> None:
    account = {"RELAY_URL": stand_in.url, "RELAY_TOKEN": TOKEN}
    for stdin in (b'{"x": "' + b"a" * 2**21, b"{\n" * 2**20):
        done = await pipe(stdin, **account)
        assert (done.returncode, b"too long" in done.stderr) == (1, True), done.stderr


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
    ("words", "expected"),
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
async def test_a_usage_error_shows_the_right_usage(words: tuple[str, ...], expected: bytes) -> None:
    done = await send(*words)
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


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


def limited(limit: int, remaining: int = 0, reset: int = 0) -> Answer:
    """A refusal by a rate limit that is over at once."""
    status, problem, headers = busy("0", 429)
    quota = {"Limit": limit, "Remaining": remaining, "Reset": reset}
    return status, problem, headers | {f"RateLimit-{name}": str(n) for name, n in quota.items()}


async def bulk(lines: int, wait: str, stand_in: StandIn) -> "subprocess.CompletedProcess[bytes]":
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    stdin = b"".join(b'{"event_type":"log","payload":%d}\n' % n for n in range(lines))
    return await piped([*RELAY, "send", "-", "--wait", wait], env, stdin=stdin)


async def test_the_time_that_a_rate_limit_asks_for_is_not_the_patience(stand_in: StandIn) -> None:
    stand_in.script.extend([limited(2_000)] * 5)
    done = await bulk(1_500, "0", stand_in)
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in stand_in.events] == list(range(1_500))


async def test_a_limit_lower_than_a_batch_means_smaller_batches(stand_in: StandIn) -> None:
    stand_in.script.append(limited(70))
    done = await bulk(200, "0", stand_in)
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in stand_in.events] == list(range(200))
    assert max(stand_in.batches) <= 70


async def test_a_bulk_that_cannot_go_on_names_the_line_to_go_on_with(stand_in: StandIn) -> None:
    receipt = {"ok": True, "accepted": 1000, "duplicates": 0, "first_seq": 1, "last_seq": 1000}
    half: Answer = (200, receipt, {})
    refused = refusal(422, "invalid", "Some lines are wrong: line 7")
    for last, code, expected in (
        ([limited(2_000)] * 11, 5, b"not stored: Relay answered: Too much is going on."),
        ([busy("60")], 5, b"not stored: Relay answered: Too much is going on."),
        ([refused], 1, b"line 1007"),
    ):
        stand_in.script.extend([half, *last])
        done = await bulk(1_500, "0", stand_in)
        assert (done.returncode, expected in done.stderr) == (code, True), done.stderr
        assert b"Lines 1 to 1000 are stored." in done.stderr
        assert b"`tail -n +1001 FILE | relay send -`" in done.stderr
    stand_in.script.append(refused)
    first = await bulk(1_500, "0", stand_in)
    assert (first.returncode, b"are stored" in first.stderr) == (1, False)


async def test_a_bulk_keeps_the_pace_of_a_real_limit(database_url: str) -> None:
    async with running_relay(
        database_url,
        RELAY_RATE_LIMITS="on",
        RELAY_RATE_EVENTS_PER_TOKEN="4000/s burst 900",
        RELAY_RATE_EVENTS_PER_ADDRESS="100000/s burst 100000",
    ) as relay:
        user = await relay.user()
        stdin = b"".join(b'{"event_type":"log","payload":%d}\n' % n for n in range(5_000))
        env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
        done = await piped([*RELAY, "send", "-", "--wait", "0"], env, stdin=stdin)
        assert done.returncode == 0, done.stderr
        last = (await user.call("GET", "/api/events?last=1")).json()["events"]
    assert [(event["seq"], event["payload"]) for event in last] == [(5_000, 4_999)]


async def test_a_line_that_is_no_event_ends_it_and_is_named(relay: Relay) -> None:
    user = await relay.user()
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    good = b'{"event_type":"log","payload":{}}\n'
    for stdin, expected in (
        (good + b"hello\n", b"line 2 of stdin is not a JSON object"),
        (b"[" + good + b"]", b"Write one event per line, as `jq -c` does"),
        (b"{}\n\xff\xff\n", b"line 2 of stdin is not a JSON object"),
        (good + b'\n\n{"event_type":"x"}\n', b"line 4: event_type: must be one of"),
        (b'\n{"event_type":"log"}\n', b"line 2 of stdin: Relay refused this event"),
    ):
        done = await pipe(stdin, **account)
        assert (done.returncode, expected in done.stderr) == (1, True), done.stderr
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

    for code, expected, account in cases:
        done = await send("log", "--wait", "0.1", **account)
        (line,) = complaints(done.stderr)
        assert (done.returncode, done.stdout, expected in line) == (code, b"", True), line
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
