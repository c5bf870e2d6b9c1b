"""Every curl script and every curl line of the reference works."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.schema_types import Examples
from tests.support.curl_shell import CURL, UNHURRIED_CURL, Shell
from tests.support.mail_server import mail_server
from tests.support.openapi import operations
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program
from tests.support.relay_server import Relay, User, bearer, calls_wait, running_relay

SCRIPTS = sorted(path.name for path in CURL.glob("*.sh"))

NEEDS_MAIL = "mail_code"
ENDLESS = {"sse"}  # what runs until it is stopped


@pytest.fixture
async def shell(relay: Relay, tmp_path: Path) -> Shell:
    user = await relay.user()
    return Shell(relay, user, await user.hook(), tmp_path)


async def test_the_scripts_get_a_token_send_and_read(shell: Shell) -> None:
    session = (await shell.script("1-create-a-user.sh")).strip()
    shell.variables["SESSION"] = session
    shell.variables["HOOK"] = (await shell.script("2-create-a-token.sh", 'a "quoted" name')).strip()
    first = json.loads(await shell.script("3-send-an-event.sh", "hello", EVENT_ID="e-1"))
    again = json.loads(await shell.script("3-send-an-event.sh", "hello", EVENT_ID="e-1"))
    assert (first["seq"], first["duplicate"]) == (1, False)
    assert (again["seq"], again["duplicate"]) == (1, True)
    batch = json.loads(await shell.script("4-send-a-batch.sh", "count", given="1\n2\n3\n"))
    assert (batch["accepted"], batch["last_seq"]) == (3, 4)

    read = partial(shell.script, "6-read-and-resume.sh")
    events = [json.loads(line) for line in (await read(LIMIT="2")).splitlines()]
    assert [event["payload"]["message"] for event in events] == ["hello", "1", "2", "3"]
    assert await read() == ""
    await shell.script("3-send-an-event.sh", "later")
    (event,) = (await read()).splitlines()
    assert json.loads(event)["payload"] == {"message": "later"}


@pytest.mark.parametrize(
    "name", ["2-create-a-token.sh", "6-read-and-resume.sh", "7-ticket.sh", "9-signed.sh"]
)
async def test_a_script_that_is_refused_fails_and_shows_why(shell: Shell, name: str) -> None:
    ran = await shell.run(str(CURL / name), SESSION="broken")
    assert (ran.returncode, ran.stdout) == (22, b""), "curl's word for a refusal"
    assert b'"code":"invalid_token"' in ran.stderr


async def test_reading_that_fails_leaves_the_cursor_as_it_was(shell: Shell) -> None:
    await shell.script("3-send-an-event.sh", "one")
    await shell.script("6-read-and-resume.sh")
    cursor = (shell.folder / "relay.cursor").read_text()
    with HeldPort() as port:
        for trouble in ({"SESSION": "broken"}, {"RELAY_URL": f"http://127.0.0.1:{port.number}"}):
            ran = await shell.run(str(CURL / "6-read-and-resume.sh"), **trouble)
            assert ran.returncode != 0
            assert (shell.folder / "relay.cursor").read_text() == cursor
    assert await shell.script("6-read-and-resume.sh") == ""
    await shell.script("3-send-an-event.sh", "two")
    # no file can be written, as on a full disk
    ran = await shell.run("sh", "-c", 'ulimit -f 0; exec "$0"', str(CURL / "6-read-and-resume.sh"))
    assert ran.returncode != 0
    assert json.loads(ran.stdout)["payload"] == {"message": "two"}
    assert (shell.folder / "relay.cursor").read_text() == cursor


async def test_following_goes_on_from_a_cursor(shell: Shell) -> None:
    first = json.loads(await shell.script("3-send-an-event.sh", "one"))
    async with trio.open_nursery() as nursery:
        follow = partial(
            trio.run_process,
            [str(CURL / "5-follow.sh"), first["cursor"]],
            env=shell.variables,
            stdout=subprocess.PIPE,
            check=False,
        )
        following = await nursery.start(follow)
        output = b""
        with trio.fail_after(PATIENCE):
            while b"event: hello" not in output:
                output += await following.stdout.receive_some()
            await shell.script("3-send-an-event.sh", "two")
            while b'"message":"two"' not in output.replace(b" ", b""):
                output += await following.stdout.receive_some()
        following.terminate()
    assert b'"one"' not in output


async def test_a_ticket_opens_one_stream_once(shell: Shell) -> None:
    unhurried = shell.folder / "bin" / "curl"
    unhurried.parent.mkdir()
    unhurried.write_text(UNHURRIED_CURL.format(python=sys.executable, curl=program("curl")))
    unhurried.chmod(0o755)
    path = f"{unhurried.parent}:{shell.variables['PATH']}"
    output = await shell.script("7-ticket.sh", PATH=path)
    assert "event: hello" in output
    assert re.search(r"^401 The ticket", output, re.MULTILINE)


async def test_a_revoked_token_is_refused(shell: Shell) -> None:
    assert json.loads(await shell.script("8-revoke.sh")) == {"ok": True}
    refused = await shell.run(str(CURL / "3-send-an-event.sh"))
    assert refused.returncode == 22, "curl's word for a refusal"
    assert json.loads(refused.stdout)["code"] == "invalid_token"


async def test_a_token_is_revoked_by_its_id(relay: Relay, shell: Shell) -> None:
    made = await User(relay, "", shell.variables["SESSION"]).token()
    assert json.loads(await shell.script("8-revoke.sh", made["token_id"])) == {"ok": True}
    refused = await shell.run(str(CURL / "3-send-an-event.sh"), HOOK=made["token"])
    assert refused.returncode == 22


async def test_a_signed_event_is_stored(shell: Shell) -> None:
    assert json.loads(await shell.script("9-signed.sh", "ünïcode & 'quotes'"))["ok"] is True


async def test_a_question_is_answered_by_the_other_script(relay: Relay, shell: Shell) -> None:
    for asked, given, (code, printed) in (
        (("Deploy 17?", "yes", "no"), "yes", (0, "yes")),
        (("Deploy 17?", "yes", "no"), "no", (1, "no")),
        (('Which "branch"?',), "main", (0, "main")),
    ):
        ended: list[tuple[int, str]] = []

        async def ask(*words: str) -> None:
            ran = await shell.run(str(CURL / "10-ask.sh"), *words)
            ended.append((ran.returncode, ran.stdout.decode().strip()))  # noqa: B023

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, *asked)
            await calls_wait(relay, 1)
            shown = await shell.script("11-answer.sh")
            ask_id, _, rest = shown.strip().partition(" ")
            assert rest.startswith(asked[0])
            assert json.loads(await shell.script("11-answer.sh", ask_id, given)) == {"ok": True}
        assert ended == [(code, printed)]
    assert await shell.script("11-answer.sh") == ""
    refused = await shell.run(str(CURL / "10-ask.sh"), "Deploy?", "yes")
    assert (refused.returncode, refused.stdout) == (22, b"")
    assert b'"code":"invalid"' in refused.stderr


def test_every_script_is_run_here() -> None:
    run = set(re.findall(r"\d+-[\w-]+\.sh", Path(__file__).read_text()))
    assert run == set(SCRIPTS)
    for name in SCRIPTS:
        text = (CURL / name).read_text()
        assert text.startswith("#!/bin/sh\n# ")
        assert "\nset -eu\n" in text


@pytest.mark.parametrize(
    "name",
    [
        one["operationId"]
        for one in operations().values()
        if "x-codeSamples" in one and one["operationId"] != NEEDS_MAIL
    ],
)
async def test_every_line_of_curl_in_the_reference_runs(
    relay: Relay, shell: Shell, name: str
) -> None:
    (operation,) = (one for one in operations().values() if one["operationId"] == name)
    source = operation["x-codeSamples"][0]["source"]
    if name == "revoke":  # its example names another user's token
        made = await User(relay, "", shell.variables["SESSION"]).token()
        source = re.sub(r'"token_id":"[^"]+"', f'"token_id":"{made["token_id"]}"', source)
    if name == "end_user":  # and this one another user
        me = (await User(relay, "", shell.variables["SESSION"]).call("GET", "/api/me")).json()
        source = re.sub(r'"confirm":"[^"]+"', f'"confirm":"{me["user_id"]}"', source)
    if name == "redeem_link":  # and this one a link that does not exist
        person = User(relay, "", shell.variables["SESSION"])
        link = (await person.call("POST", "/api/session/link")).json()["link"]
        source = re.sub(r'"code":"[^"]+"', f'"code":"{link.partition("#link=")[2]}"', source)
    if name == "download_log":  # and this one a task that has to be there
        person = User(relay, "", shell.variables["SESSION"])
        await person.posted(event_type="task_started", task_id="build-7")
    if name == "stop_task":
        person = User(relay, "", shell.variables["SESSION"])
        await person.posted(
            event_type="task_started", task_id="build-7", payload={"stoppable": True}
        )
    if name == "beat":  # a task that should stop ends the wait of the example
        person = User(relay, "", shell.variables["SESSION"])
        await person.posted(
            event_type="task_started", task_id="build-7", payload={"stoppable": True}
        )
        stop = await person.call("POST", "/api/tasks/stop", json={"task_id": "build-7"})
        assert stop.status_code == 202
    if name in ("end_channel", "test_channel", "list_deliveries"):
        person = User(relay, "", shell.variables["SESSION"])
        hook = {"kind": "webhook", "url": "https://hooks.example/relay"}
        added = await person.call("POST", "/api/channels", json=hook)
        source = source.replace(Examples.TOKEN_ID, added.json()["channel_id"])
    if name in ("read_ask", "answer_ask", "withdraw_ask"):
        source = await _of_an_ask(relay, shell, source)
    await _runs(shell, operation, source)


async def test_the_line_of_curl_that_needs_a_mail_server_runs(
    database_url: str, tmp_path: Path
) -> None:
    (operation,) = (one for one in operations().values() if one["operationId"] == NEEDS_MAIL)
    with mail_server() as mails:
        url = f"smtp://127.0.0.1:{mails.port}"
        sender = {"RELAY_SMTP_URL": url, "RELAY_SMTP_FROM": "relay@example.com"}
        async with running_relay(database_url, **sender) as relay:
            user = await relay.user()
            shell = Shell(relay, user, await user.hook(), tmp_path)
            await _runs(shell, operation, operation["x-codeSamples"][0]["source"])
    assert len(mails.mails) == 1


async def _runs(shell: Shell, operation: dict[str, Any], source: str) -> None:
    """Run a line of the reference, and check that its status is a documented success."""
    if operation["operationId"] in ENDLESS:
        output = await _first_event(shell, source)
        code = int(output.split()[1])
    else:
        status = "\n%{http_code}"
        ran = await shell.run("sh", "-c", f"{source} -o /dev/null -w '{status}'")
        output = ran.stderr
        code = int(ran.stdout.split()[-1])
    expected = {int(status) for status in operation["responses"] if int(status) < 400}
    assert code in expected, (source, output)


async def _first_event(shell: Shell, source: str) -> bytes:
    """What a line of the reference that opens a stream says until it shows an event."""
    process = await trio.lowlevel.open_process(
        ["sh", "-c", f"exec {source} --include"],
        cwd=shell.folder,
        env=shell.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    output = b""
    assert process.stdout is not None
    async with process.stdout:
        try:
            with trio.fail_after(PATIENCE):
                while b"\nevent: " not in output:
                    more = await process.stdout.receive_some()
                    assert more, (source, output)
                    output += more
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    return output


async def _of_an_ask(relay: Relay, shell: Shell, source: str) -> str:
    """The example with the id and the hash of an ask that is open."""
    question = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"]}
    made = await relay.http.post(
        "/api/asks",
        json=question | {"expires_in": 60},
        headers=bearer(shell.variables["HOOK"]),
    )
    (ask,) = (await relay.http.get("/api/asks", headers=bearer(shell.variables["SESSION"]))).json()[
        "asks"
    ]
    source = source.replace(Examples.TOKEN_ID, made.json()["ask_id"])
    return re.sub(r'"question_hash":"[^"]+"', f'"question_hash":"{ask["question_hash"]}"', source)
