"""`relay channels`: adds, lists, tests and removes channels, with exit codes for scripts."""

import json
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import chat_services as chat
from tests.support.machine import Machine
from tests.support.mail_server import MailServer, mail_server
from tests.support.relay_server import Relay, running_relay


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
async def relay(database_url: str, mails: MailServer) -> AsyncIterator[Relay]:
    async with running_relay(
        database_url,
        RELAY_OUTBOUND_PRIVATE="on",
        RELAY_SMTP_URL=f"smtp://127.0.0.1:{mails.port}",
        RELAY_SMTP_FROM="relay@example.com",
    ) as relay:
        yield relay


async def test_a_channel_is_added_tested_listed_and_removed(relay: Relay, laptop: Machine) -> None:
    await laptop.done("login", relay.url)
    assert "No channels yet" in (await laptop.relay("channels", "list")).stderr
    with chat.service(chat.ntfy) as service:
        topic = f"{service.url}/a-topic"
        added = await laptop.relay(
            *("channels", "add", "ntfy", "-", "--on", "failed,succeeded", "--always"),
            *("--min-duration", "90s", "--priority", "5", "--no-message"),
            stdin=f"{topic}\n".encode(),
        )
        channel_id = added.stdout.strip()
        assert (added.exit_code, len(channel_id)) == (0, 36)
        assert f"relay channels test {channel_id}" in added.stderr
        for named in ("ntfy", channel_id[:8]):
            arrived = await laptop.relay("channels", "test", named)
            assert (arrived.exit_code, arrived.stderr) == (0, "It arrived (200).\n")
        assert [call.body["priority"] for call in service.taken] == [5, 5]
        service.script = [chat.Answer(403, b"secret text of the service")]
        refused = await laptop.fails(1, "channels", "test", "ntfy")
        assert "did not arrive: the receiver answered 403" in refused
        head, row = (await laptop.done("channels", "list")).splitlines()
        assert head.split()[:3] == ["KIND", "WHERE", "FOR"]
        assert "failed, succeeded after 1:30" in row
        assert row.endswith(channel_id)
        (listed,) = json.loads(await laptop.done("channels", "list", "--json"))
        assert (listed["unless_watched"], listed["message"]) == (False, False)
        lines = (await laptop.done("channels", "deliveries", "ntfy")).splitlines()
        assert [line.split()[2] for line in lines[1:]] == ["test"] * 3
        assert "failed" in lines[1]
        assert "403" in lines[1]
        deliveries = json.loads(await laptop.done("channels", "deliveries", "ntfy", "--json"))
        assert [one["outcome"] for one in deliveries] == ["failed", "delivered", "delivered"]
        everything = added.stdout + added.stderr + row + "".join(lines) + json.dumps(listed)
        assert "a-topic" not in everything
    removed = await laptop.relay("channels", "remove", "ntfy")
    assert (removed.exit_code, removed.stderr) == (0, "ntfy is removed.\n")
    assert "no channel 'ntfy'" in await laptop.fails(1, "channels", "remove", "ntfy")


async def test_a_webhooks_secret_is_shown_once_and_a_receiver_that_is_away_is_no_success(
    relay: Relay, laptop: Machine
) -> None:
    await laptop.done("login", relay.url)
    away = "http://127.0.0.1:9/hook"
    added = await laptop.relay("channels", "add", "webhook", away)
    assert re.search(r"not shown again: whsec_\S+", added.stderr)
    second = json.loads(await laptop.done("channels", "add", "webhook", away, "--json"))
    assert second["signing_secret"].startswith("whsec_")
    assert "2 channels are meant" in await laptop.fails(1, "channels", "test", "webhook")
    line = await laptop.fails(1, "channels", "test", second["channel_id"])
    assert "did not arrive: no connection. Relay tries again." in line


async def test_a_mail_address_is_proved_by_the_code_that_is_mailed_there(
    relay: Relay, laptop: Machine, mails: MailServer
) -> None:
    await laptop.done("login", relay.url)
    asked = await laptop.relay("channels", "add", "email", "ada@example.com")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "A code was sent to ada@example.com. It is valid for 30 minutes." in asked.stderr
    assert "--code" in asked.stderr
    found = re.search(r"\d{4} \d{4}", str(mails.mails[0]["Subject"]))
    assert found is not None
    await laptop.done("channels", "add", "email", "ada@example.com", "--code", found[0])
    assert (await laptop.relay("channels", "test", "email")).exit_code == 0
    assert len(mails.mails) == 2


async def test_a_test_that_has_not_arrived_in_time_has_a_code_of_its_own(
    relay: Relay, laptop: Machine
) -> None:
    await laptop.done("login", relay.url)
    with chat.service(chat.slack) as service:
        service.open.clear()
        await laptop.done("channels", "add", "slack", f"{service.url}{chat.SLACK_PATH}")
        line = await laptop.fails(124, "channels", "test", "slack", "--wait", "1s")
        assert "not arrived yet" in line
        service.open.set()


WRONG: tuple[tuple[int, str, str], ...] = (
    (1, "that of a topic", "add ntfy https://ntfy.sh/"),
    (1, "must be an https address", "add webhook ftp://example.com/hook"),
    (1, "address", "add email ada"),
    (1, "no channel 'slack'", "test slack"),
    (2, "pager", "add pager https://x.example"),
    (2, "Did you mean 'failed'", "add ntfy https://ntfy.sh/t --on failled"),
    (2, "is for ntfy", "add slack https://x.example --access-token t"),
    (2, "is for email", "add slack https://x.example --code 1"),
    (2, "soon", "test slack --wait soon"),
    (2, "CHANNEL", "remove"),
)


async def test_what_cannot_be_is_one_line_and_an_exit_code(relay: Relay, laptop: Machine) -> None:
    await laptop.done("login", relay.url)
    for exit_code, words, arguments in WRONG:
        ended = await laptop.relay("channels", *arguments.split())
        assert (ended.exit_code, ended.stdout) == (exit_code, ""), arguments
        assert words in ended.stderr.splitlines()[-1], ended.stderr
