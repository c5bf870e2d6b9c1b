"""`relay whoami`, `token` and `logout`: which credential is used, and how it ends."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.commands import RELAY, environment, run_command
from tests.support.machine import Machine
from tests.support.relay_server import Relay, User, bearer

AWAY = "an address where nobody listens"


@pytest.mark.parametrize(
    ("scopes", "kind"),
    [
        (None, "session"),
        (["webhook"], "token that can publish and watch"),
        (["publish"], "token that can publish"),
        (["watch"], "token that can watch"),
    ],
)
async def test_whoami_names_the_credential_with_any_token(
    relay: Relay, laptop: Machine, scopes: list[str] | None, kind: str
) -> None:
    user = await relay.user()
    token = user.session if scopes is None else (await user.token(scopes=scopes))["token"]
    expected = {"relay": relay.url, "user": user.user_id, "credential": kind}

    def shown(result: Result) -> dict[str, str]:
        head = result.stdout.partition("\n\n")[0].splitlines()
        return {line[:14].strip(): line[14:] for line in head}

    by_variable = await laptop.relay("whoami", RELAY_TOKEN=token)
    assert (by_variable.exit_code, by_variable.stderr) == (0, "")
    assert shown(by_variable).items() >= {**expected, "from": "RELAY_TOKEN"}.items()
    by_option = await laptop.relay("whoami", "--token", token, RELAY_TOKEN="other-token")
    assert shown(by_option).items() >= {**expected, "from": "--token"}.items()
    await laptop.done("login", relay.url, "--with-token", stdin=token.encode())
    by_file = await laptop.relay("whoami")
    assert shown(by_file).items() >= {**expected, "from": str(laptop.file)}.items()
    described = json.loads(await laptop.done("whoami", "--json"))
    assert described["user_id"] == user.user_id
    assert token not in by_file.stdout + by_variable.stdout + json.dumps(described)
    if scopes is not None:
        assert (described["scopes"], described["type"]) == (scopes, "hook")
        await user.call("POST", "/api/token/revoke", json={"token": token})
        assert "relay login" in await laptop.fails(4, "whoami")
    await Machine(laptop.home / "third").done("login", relay.url)
    third = Machine(laptop.home / "third")
    hidden = await third.relay("whoami", "--token", user.session)
    assert "is not used, because of --token" in hidden.stderr


async def test_a_hint_names_what_is_missing_and_the_address(
    relay: Relay, laptop: Machine, away: str
) -> None:
    hook = await (await relay.user()).hook()
    await laptop.done("login", relay.url, "--with-token", stdin=hook.encode())
    for command in (("answer",), ("token", "list"), ("login", "--link"), ("logout", "--others")):
        line = await laptop.fails(4, *command)
        assert f"no session for {relay.url}, only a token; " in line
        assert "a link from a connected device" in line
    line = await laptop.fails(4, "whoami", "--url", away)
    assert f"no token for {away}; run `relay login {away}`" in line


async def test_a_refusal_says_what_to_do_with_the_token_in_use(
    relay: Relay, laptop: Machine
) -> None:
    user = await relay.user()
    hook, signed = await user.hook(), (await user.token(signed=True))["token"]
    await laptop.done("login", relay.url, "--with-token", stdin=hook.encode())
    await user.call("POST", "/api/token/revoke", json={"token": hook})
    for command in (("whoami",), ("send", "log")):
        by_file = await laptop.fails(4, *command)
        assert f"Run `relay login {relay.url}`, or with a link from a connected device." in by_file
        by_variable = await laptop.fails(4, *command, RELAY_TOKEN=hook)
        assert by_variable.endswith("Replace or unset RELAY_TOKEN."), by_variable
        by_option = await laptop.fails(4, command[0], "--token", hook, *command[1:])
        assert by_option.endswith("Use another token."), by_option
    line = await laptop.fails(4, "send", "log", RELAY_TOKEN=signed)
    assert line.endswith("Use a token that need not sign."), line


async def test_a_given_token_is_checked_beside_a_damaged_file(
    relay: Relay, laptop: Machine
) -> None:
    user = await relay.user()
    laptop.file.parent.mkdir(parents=True)
    laptop.file.write_text("{")
    laptop.file.chmod(0o600)
    for token in (user.session, await user.hook()):
        ended = await laptop.relay("whoami", RELAY_TOKEN=token)
        assert (ended.exit_code, ended.stderr) == (0, ""), ended.stderr
    assert "is damaged" in await laptop.fails(4, "whoami")


async def test_a_token_is_alone_on_stdout_listed_by_name_and_revoked(
    relay: Relay, laptop: Machine
) -> None:
    await laptop.done("login", relay.url)
    made = await laptop.done(
        *("token", "create", "--name", "ci", "--scope", "publish", "--expires", "1h")
    )
    (token,) = made.split()
    user = User(relay, "", "")
    assert (await user.post(hook=token)).status_code == 200
    listed = json.loads(await laptop.done("token", "list", "--json"))
    (ci,) = [one for one in listed if one["name"] == "ci"]
    assert ci["scopes"] == ["publish"]
    shown = await laptop.done("token", "list")
    assert ci["token_id"] in shown
    assert "no active token" in await laptop.fails(1, "token", "revoke", "nobody")
    asked = await laptop.fails(4, "token", "list", "--token", token)
    assert "This needs a session." in asked
    assert asked.endswith("Use another token."), asked
    await laptop.done("token", "revoke", "ci")
    assert (await user.post(hook=token)).status_code == 401
    signed = json.loads(await laptop.done("token", "create", "--signed", "--json"))
    assert signed["signing_secret"].startswith("whsec_")


async def test_a_token_that_a_full_disk_refuses_is_named_to_be_revoked(
    relay: Relay, tmp_path: Path
) -> None:
    user = await relay.user()
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=user.session)
    script = '"$@" token create >/dev/full'
    done = await run_command(["bash", "-c", script, "", *RELAY], tmp_path, env)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, "No space left on device" in line) == (1, True), line
    (made,) = (await user.call("GET", "/api/me")).json()["tokens"]
    assert line.endswith(f"To revoke the token: relay token revoke {made['token_id']}")


async def test_logout_ends_the_session_and_this_machines_hook_token(
    relay: Relay, laptop: Machine
) -> None:
    await laptop.done("login", relay.url)
    kept = laptop.kept(relay)
    await laptop.done("logout")
    assert json.loads(laptop.file.read_text())["relays"] == {}
    for path, token in (("/api/me", "session_token"), ("/api/events", "hook_token")):
        answer = await relay.http.get(path, headers=bearer(kept[token]))
        assert (path, answer.status_code) == (path, 401)
    assert "relay login" in await laptop.fails(4, "whoami")


@pytest.mark.parametrize("session", ["ended", "never stored"])
async def test_logout_without_a_session_revokes_the_hook_token(
    relay: Relay, laptop: Machine, session: str
) -> None:
    user = await relay.user()
    hook = await user.hook()
    if session == "ended":
        await laptop.done("login", relay.url, "--with-token", stdin=user.session.encode())
        hook = laptop.kept(relay)["hook_token"]
        await user.call("DELETE", "/api/session")
    else:
        await laptop.done("login", relay.url, "--with-token", stdin=hook.encode())
    await laptop.done("logout")
    assert (await relay.http.get("/api/events", headers=bearer(hook))).status_code == 401
    assert json.loads(laptop.file.read_text())["relays"] == {}


async def test_logout_names_a_hook_token_that_stays_valid(relay: Relay, laptop: Machine) -> None:
    user, other = await relay.user(), await relay.user()
    signed = (await user.token(signed=True))["token"]
    await laptop.done("login", relay.url, "--with-token", stdin=signed.encode())
    ended = await laptop.relay("logout")
    assert (ended.exit_code, "stays valid until it expires" in ended.stderr) == (0, True)
    # another user's, which others may use: it was made elsewhere
    theirs = await other.hook()
    for token in (user.session, theirs):
        await laptop.done("login", relay.url, "--with-token", stdin=token.encode())
    ended = await laptop.relay("logout")
    assert (ended.exit_code, f"of user {other.user_id}" in ended.stderr) == (0, True)
    assert (await relay.http.get("/api/events", headers=bearer(theirs))).status_code == 200


async def test_a_session_is_ended_from_another_device(
    relay: Relay, laptop: Machine, phone: Machine
) -> None:
    await laptop.done("login", relay.url)
    await phone.done("login", (await laptop.done("login", "--link")).strip())
    assert "1 other session" in await laptop.done("logout", "--others")
    assert "relay login" in await phone.fails(4, "whoami")
    assert (await laptop.me())["user_id"]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("login", AWAY), 5),
        *((("login", text), 2) for text in ("relay.example", "http://", "http://[x", "::")),
        *((("login", text), 2) for text in ("http://h:99999", "http://h:0", "http://a b")),
        (("login", "http://me:secret@relay.example"), 2),
        (("logout", "relay.example"), 2),
        (("whoami", "--url", "relay.example"), 2),
        (("send", "log", "--url", "relay.example"), 2),
        (("whoami",), 4),
        (("whoami", "--url", AWAY, "--token", "x-y-z"), 5),
        (("token", "create"), 4),
    ],
)
async def test_a_missing_credential_is_one_line_and_an_exit_code(
    laptop: Machine, away: str, arguments: Sequence[str], exit_code: int
) -> None:
    await laptop.fails(exit_code, *(away if word == AWAY else word for word in arguments))
