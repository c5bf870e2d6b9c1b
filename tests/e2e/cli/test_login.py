"""`relay login`: a new user, a link, a token on stdin, and what is kept on the machine."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from relay.auth.credentials import CredentialStore
from relay.cli import api_calls
from relay.client.credentials import CredentialsFile, claim, save_credentials
from tests.support.clocks import behind
from tests.support.machine import Machine
from tests.support.relay_server import Relay, bearer, running_relay


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_login_creates_one_user_in_a_private_file(relay: Relay, laptop: Machine) -> None:
    output = await laptop.done("login", relay.url)
    kept = laptop.kept(relay)
    assert kept["session_token"] not in output
    assert (mode(laptop.file), mode(laptop.file.parent)) == (0o600, 0o700)
    me = await laptop.me()
    assert me["user_id"] in output
    # what producers on this machine publish with is there at once
    sent = await relay.http.post(
        "/api/webhook/cli",
        json={"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": "hi"},
        headers=bearer(kept["hook_token"]),
    )
    assert sent.status_code == 200
    assert f"still user {me['user_id']}" in await laptop.done("login")
    assert laptop.kept(relay) == kept
    # and again when that one was revoked: to log in is what a 401 asks for
    await laptop.done("token", "revoke", me["tokens"][0]["token_id"])
    await laptop.done("login")
    (token,) = (await laptop.me())["tokens"]
    assert claim(laptop.kept(relay)["hook_token"], "jti") == token["token_id"]


async def test_a_relay_with_its_clock_behind_costs_no_session(
    relay: Relay, laptop: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await relay.user()
    await laptop.done("login", relay.url, "--with-token", stdin=user.session.encode())
    kept = laptop.kept(relay)
    monkeypatch.setattr(CredentialStore, "cached", lambda *_: None)  # as after a start
    with monkeypatch.context() as patched:
        behind(patched, days=2)
        assert "clock" in await laptop.fails(5, "login")
    assert laptop.kept(relay) == kept
    assert f"still user {user.user_id}" in await laptop.done("login")


async def test_a_link_from_one_terminal_signs_in_another(
    relay: Relay, laptop: Machine, phone: Machine
) -> None:
    await laptop.done("login", relay.url)
    link = (await laptop.done("login", "--link")).strip()
    assert link.startswith(f"{relay.url}/#link=")
    await phone.done("login", link)
    assert (await phone.me())["user_id"] == (await laptop.me())["user_id"]
    assert phone.kept(relay)["session_token"] != laptop.kept(relay)["session_token"]


async def test_tokens_made_by_logins_on_machines_of_one_name_are_distinct(
    relay: Relay, laptop: Machine, phone: Machine
) -> None:
    await laptop.done("login", relay.url)
    for machine in (phone, Machine(phone.home / "third")):
        await machine.done("login", (await laptop.done("login", "--link")).strip())
    host = f"relay on {socket.gethostname()}"
    names = {token["name"] for token in (await laptop.me())["tokens"]}
    assert names == {host, f"{host} (2)", f"{host} (3)"}
    await laptop.done("token", "revoke", f"{host} (2)")
    await phone.done("login")  # its token is gone, and so is the number
    assert {token["name"] for token in (await laptop.me())["tokens"]} == names


async def test_a_used_link_is_refused_and_switching_users_is_confirmed(
    relay: Relay, laptop: Machine, phone: Machine
) -> None:
    for machine in (laptop, phone):
        await machine.done("login", relay.url)
    before = phone.kept(relay)
    link = (await laptop.done("login", "--link")).strip()
    assert "--replace" in await phone.fails(4, "login", link)
    assert phone.kept(relay) == before
    await phone.done("login", "--with-token", "--replace", stdin=link.encode())
    after = phone.kept(relay)
    assert (await phone.me())["user_id"] == (await laptop.me())["user_id"]
    # the hook token went to the stream that is forgotten
    assert after["hook_token"] != before["hook_token"]
    assert "link was used" in await Machine(phone.home / "third").fails(1, "login", link)


@pytest.mark.parametrize("session", ["ended", "never stored"])
async def test_a_new_stream_does_not_replace_a_token_that_is_still_valid(
    relay: Relay, laptop: Machine, session: str
) -> None:
    user = await relay.user()
    stdin = (user.session if session == "ended" else await user.hook()).encode()
    await laptop.done("login", relay.url, "--with-token", stdin=stdin)
    if session == "ended":
        await user.call("DELETE", "/api/session")
    before = laptop.kept(relay)
    line = await laptop.fails(4, "login", relay.url)
    assert f"publishes as user {user.user_id} at {relay.url}" in line
    assert ("link from a connected device" in line, "--replace" in line) == (True, True)
    assert laptop.kept(relay) == before
    await laptop.done("login", relay.url, "--replace")
    after = laptop.kept(relay)
    assert claim(after["hook_token"], "sub") == claim(after["session_token"], "sub")
    assert after["hook_token"] != before["hook_token"]
    # where nothing stays valid there is nothing to ask
    me = bearer(after["session_token"])
    revoked = {"token": after["hook_token"]}
    await relay.http.post("/api/token/revoke", json=revoked, headers=me)
    await relay.http.delete("/api/session", headers=me)
    await laptop.done("login", relay.url)


async def test_another_users_credentials_are_replaced_only_on_demand(
    relay: Relay, laptop: Machine, phone: Machine
) -> None:
    user, other = await relay.user(), await relay.user()
    hook = await other.hook()
    for token in (user.session, hook):
        await laptop.done("login", relay.url, "--with-token", stdin=token.encode())
    before = laptop.kept(relay)
    arguments = ("login", relay.url, "--with-token")
    line = await laptop.fails(4, *arguments, stdin=other.session.encode())
    assert f"signed in as user {user.user_id}" in line
    assert laptop.kept(relay) == before
    # the way that the note names: the token of the other user is replaced, the session stays
    noted = (await laptop.relay("whoami")).stderr
    assert f"relay login {relay.url} --replace" in noted
    await laptop.done("login", relay.url, "--replace")
    after = laptop.kept(relay)
    assert after["session_token"] == user.session
    assert claim(after["hook_token"], "sub") == user.user_id
    await laptop.done(*arguments, "--replace", stdin=other.session.encode())
    assert laptop.kept(relay)["session_token"] == other.session
    assert claim(laptop.kept(relay)["hook_token"], "sub") == other.user_id
    # a machine without a session keeps the token that it publishes with
    await phone.done("login", relay.url, "--with-token", stdin=(await user.hook()).encode())
    published_with = phone.kept(relay)["hook_token"]
    opened = await phone.relay("login", (await laptop.done("login", "--link")).strip())
    assert (opened.exit_code, f"publish as user {user.user_id}" in opened.stderr) == (0, True)
    assert phone.kept(relay)["hook_token"] == published_with


def refuse_to_store(patched: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the disk be full after so many writes of the credentials file."""
    written = 0

    def save(stored: CredentialsFile) -> None:
        nonlocal written
        if written == after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += 1
        save_credentials(stored)

    patched.setattr(api_calls, "save_credentials", save)


async def test_nothing_is_created_that_cannot_be_stored(
    relay: Relay, laptop: Machine, phone: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for machine in (laptop, phone):
        await machine.done("login", relay.url)
    link = (await laptop.done("login", "--link")).strip()
    third = Machine(phone.home / "third")
    with monkeypatch.context() as patched:
        refuse_to_store(patched, after=0)
        for machine, arguments in (
            (phone, ("login", link, "--replace")),
            (third, ("login", link)),
            (third, ("login", relay.url)),
        ):
            line = await machine.fails(1, *arguments)
            assert line.endswith("cannot be written: No space left on device"), line
    await phone.me()
    await third.done("login", link)


@pytest.mark.parametrize("writes", [1, 2])
async def test_what_was_created_and_cannot_be_stored_is_ended(
    relay: Relay, laptop: Machine, phone: Machine, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    await laptop.done("login", relay.url)
    link = (await laptop.done("login", "--link")).strip()
    with monkeypatch.context() as patched:
        refuse_to_store(patched, after=writes)
        line = await phone.fails(1, "login", link)
    what = (
        "session was ended; a link that made it is used up" if writes == 1 else "token was revoked"
    )
    assert line.endswith(f"No space left on device. The new {what}."), line
    assert len((await laptop.me())["tokens"]) == 1
    left = "0 other sessions" if writes == 1 else "1 other session"
    assert left in await laptop.done("logout", "--others")


@pytest.mark.parametrize("kind", ["session", "hook"])
async def test_a_valid_token_on_stdin_is_adopted(relay: Relay, laptop: Machine, kind: str) -> None:
    user = await relay.user()
    token = user.session if kind == "session" else (await user.token(scopes=["publish"]))["token"]
    output = await laptop.done("login", relay.url, "--with-token", stdin=token.encode() + b"\n")
    assert (user.user_id in output, token in output) == (True, False)
    assert laptop.kept(relay)[f"{kind}_token"] == token
    broken = Machine(laptop.home / "broken")
    changed = f"{token[:-8]}AAAAAAAA"
    for text, fault in (
        (token[:-6].encode(), "the token in stdin is cut short: 6 characters"),
        (token[9:].encode(), "the token in stdin is damaged"),
        (token.encode("utf-16"), "the text on stdin is UTF-16"),
        (b"", "there is no token on stdin"),
        (b"\xef\xbb\xbf\r\n", "there is no token on stdin"),
        (changed.encode(), "The credential is"),  # only Relay can tell
    ):
        line = await broken.fails(4, "login", relay.url, "--with-token", stdin=text)
        assert fault in line
        assert token[9:-8] not in line
    assert not broken.file.exists()


WRITTEN = {
    "byte order mark": b"\xef\xbb\xbf%s",
    "CRLF": b"%s\r\n",
    "byte order mark and CRLF": b"\xef\xbb\xbf%s\r\n",
    "white space": b" \t%s \n",
    "more lines": b"%s\nthe rest\n",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
async def test_a_token_from_a_file_of_another_system_is_taken(
    relay: Relay, laptop: Machine, written: bytes
) -> None:
    user = await relay.user()
    await laptop.done("login", relay.url, "--with-token", stdin=written % user.session.encode())
    assert laptop.kept(relay)["session_token"] == user.session
    # the credentials file itself, edited on another system
    laptop.file.write_bytes(b"\xef\xbb\xbf" + laptop.file.read_bytes().replace(b"\n", b"\r\n"))
    assert (await laptop.me())["user_id"] == user.user_id
    link = (await laptop.done("login", "--link")).strip()
    other = Machine(laptop.home / "other")
    await other.done("login", "--with-token", stdin=written % link.encode())
    assert (await other.me())["user_id"] == user.user_id
    laptop.file.write_bytes(laptop.file.read_bytes().decode("utf-8-sig").encode("utf-16"))
    assert "credentials.json is UTF-16 (it begins with" in await laptop.fails(4, "whoami")


async def test_a_login_notes_that_a_variable_takes_precedence(
    relay: Relay, laptop: Machine
) -> None:
    other = await relay.user()
    hook = await other.hook()
    ended = await laptop.relay("login", relay.url, RELAY_TOKEN=hook)
    assert f"RELAY_TOKEN is set: other commands use that token (user {other.user_id})" in (
        ended.stderr
    )
    mine = laptop.kept(relay)["session_token"]
    again = await laptop.relay("login", relay.url, RELAY_TOKEN=mine)
    assert "RELAY_TOKEN is set: other commands use that token (the same user)" in again.stderr
    moved = await laptop.relay("login", relay.url, RELAY_URL="http://elsewhere.example")
    assert "other commands use http://elsewhere.example" in moved.stderr
    plain = await laptop.relay("login", relay.url, RELAY_URL=f"{relay.url}/")
    assert (plain.exit_code, plain.stderr) == (0, "")
    # the token to publish with is of another stream than the session
    both = await laptop.relay("login", relay.url, "--with-token", stdin=hook.encode())
    assert f"publish as user {other.user_id}" in both.stderr
    assert f"publish as user {other.user_id}" in (await laptop.relay("whoami")).stderr


async def test_closed_signup_explains_what_to_do(database_url: str, laptop: Machine) -> None:
    async with running_relay(database_url, RELAY_OPEN_SIGNUP="off") as relay:
        assert "--with-token" in await laptop.fails(4, "login", relay.url)
