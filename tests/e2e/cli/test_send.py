"""`relay send TYPE`: options and a payload become an event; every end has its exit code."""

import json
from pathlib import Path

import httpx
import pytest

from relay.client.credentials import (
    CredentialsFile,
    RelayTokens,
    load_credentials,
    save_credentials,
)
from tests.support.commands import RELAY, complaints, environment, run_command
from tests.support.relay_server import Relay, bearer
from tests.support.send_command import pipe, send
from tests.support.stand_in import StandIn, busy
from tests.support.stored_events import stored
from tests.support.terminals import piped


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


async def test_a_receipt_that_a_full_disk_refuses_is_of_an_event_that_is_stored(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    for sent in ("send log", """send - <<< '{"event_type": "log", "payload": 1}'"""):
        script = f'"$@" {sent} >/dev/full'
        done = await run_command(["bash", "-c", script, "", *RELAY], tmp_path, env)
        (line,) = done.stderr.decode().splitlines()
        assert done.returncode == 1, line
        assert line.startswith("Error: stdout cannot be written: No space left on device. ")
        assert ("The event is stored." in line) or ("Lines 1 to 1 are stored." in line)
    assert len(await stored(user)) == 2


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
            "Replace or unset RELAY_TOKEN.",
            {"RELAY_URL": relay.url, "RELAY_TOKEN": "nonsense"},
        ),
        (4, "This token is watch-only.", {"RELAY_TOKEN": watcher}),
        (4, "A session cannot publish. Make a token for it", {"RELAY_TOKEN": user.session}),
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
