"""Mail: an address is proved by a code, then gets notifications; strangers get fixed texts."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.channel_tests import outcome_of_test
from tests.support.databases import database_of
from tests.support.mail_server import MailServer, mail_server
from tests.support.patience import eventually
from tests.support.relay_server import Relay, User, running_relay

ADDRESS = "ada@example.com"


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
async def relay(database_url: str, mails: MailServer) -> AsyncIterator[Relay]:
    async with running_relay(
        database_url,
        RELAY_SMTP_URL=f"smtp://127.0.0.1:{mails.port}",
        RELAY_SMTP_FROM="Relay <relay@example.com>",
        RELAY_RATE_LIMITS="on",
    ) as relay:
        yield relay


async def code_for(user: User, mails: MailServer, address: str = ADDRESS) -> str:
    """The code that is mailed to the address."""
    before = len(mails.mails)
    answer = await user.call("POST", "/api/email-code", json={"address": address})
    assert (answer.status_code, answer.json()) == (202, {"address": address, "expires_in": 1800})
    await eventually(lambda: len(mails.mails) > before)
    (mail,) = mails.mails[before:]
    assert mail["To"] == address
    found = re.search(r"Your code is (\d{4} \d{4})\.", mail.get_content())
    assert found is not None
    return found[1]


async def test_a_proved_address_gets_mails_and_no_other_one(
    relay: Relay, mails: MailServer
) -> None:
    ada, eve = await relay.user(), await relay.user()
    code = await code_for(ada, mails)
    wanted = {"kind": "email", "address": ADDRESS, "code": code, "min_duration_s": 0}
    for user, changes, field in (
        (eve, {}, "code"),
        (ada, {"address": "bob@example.com"}, "code"),
        (ada, {"code": "0000 0000"}, "code"),
        (ada, {"address": "ada@example.com\r\nBcc: bob@example.com"}, "address"),
        (ada, {"address": "ada@example.com,bob@example.com"}, "address"),
    ):
        refused = await user.call("POST", "/api/channels", json=wanted | changes)
        assert refused.status_code == 422, refused.text
        assert [one["where"] for one in refused.json()["errors"]] == [field]
    added = await ada.call("POST", "/api/channels", json=wanted)
    assert (added.status_code, set(added.json())) == (201, {"channel_id"})
    listed = (await ada.call("GET", "/api/channels")).json()
    assert [one["shown"] for one in listed["channels"]] == [{"address": ADDRESS}]
    assert "email" in listed["kinds"]
    await ada.posted(event_type="task_started", task_id="b", payload={"title": "make test"})
    await ada.posted(event_type="task_failed", task_id="b", payload={"exit_code": 2})
    await eventually(lambda: len(mails.mails) == 2)
    assert mails.mails[1]["Subject"] == "make test failed"
    assert f"{relay.url}/#task=b" in mails.mails[1].get_content()
    assert {tuple(to) for _from, to in mails.envelopes} == {(ADDRESS,)}

    mails.answers["RCPT"] = "550 5.1.1 no such user"
    (channel,) = listed["channels"]
    assert (await outcome_of_test(ada, channel["channel_id"]))["outcome"] == "failed"
    (ended,) = (await ada.call("GET", "/api/channels")).json()["channels"]
    assert ended["ended_at"] is not None


async def test_codes_are_few_for_an_address_and_a_user(relay: Relay, mails: MailServer) -> None:
    users = [await relay.user() for _ in range(4)]
    for user in users[:2]:
        await code_for(user, mails)
    for _ in range(3):
        await code_for(users[2], mails)
    over = await users[3].call("POST", "/api/email-code", json={"address": ADDRESS})
    assert (over.status_code, over.json()["code"]) == (429, "rate_limited")
    for other in ("Ada@Example.com", "ada+news@example.com", "ADA+a+b@example.com"):
        over = await users[3].call("POST", "/api/email-code", json={"address": other})
        assert over.status_code == 429  # the same inbox, for most mail servers
    await code_for(users[2], mails, "eve@example.com")
    await code_for(users[2], mails, "eve@example.com")
    over = await users[2].call("POST", "/api/email-code", json={"address": "x@y.example"})
    assert over.status_code == 429
    assert len(mails.mails) == 7

    wrong = {"kind": "email", "address": ADDRESS, "code": "1"}
    tries = [await users[0].call("POST", "/api/channels", json=wrong) for _ in range(21)]
    assert [answer.status_code for answer in tries] == [422] * 20 + [429]
    # which keeps no other user from entering a code, and all of one network try 80 times
    others = [await users[n].call("POST", "/api/channels", json=wrong) for n in (1, 2, 3) * 20]
    assert [answer.status_code for answer in others] == [422] * 59 + [429]


async def test_codes_are_few_for_all_users_together(database_url: str, mails: MailServer) -> None:
    async with running_relay(
        database_url,
        RELAY_SMTP_URL=f"smtp://127.0.0.1:{mails.port}",
        RELAY_SMTP_FROM="relay@example.com",
        RELAY_RATE_LIMITS="on",
        RELAY_RATE_ALL_MAIL_CODES="2/h",
    ) as relay:
        users = [await relay.user() for _ in range(3)]
        for number, user in enumerate(users[:2]):
            await code_for(user, mails, f"ada-{number}@example.com")
        over = await users[2].call("POST", "/api/email-code", json={"address": ADDRESS})
        assert (over.status_code, over.json()["code"]) == (429, "rate_limited")
        assert "More than 2/h mailed codes of all users" in over.json()["detail"]
        assert 0 < int(over.headers["retry-after"]) <= 1_800
        assert over.headers["ratelimit-remaining"] == "0"
        assert len(mails.mails) == 2

        # what was refused counts for none of its limits: all five codes of a day are left
        for _ in range(5):
            again = await users[2].call("POST", "/api/email-code", json={"address": ADDRESS})
            assert "mailed codes of all users" in again.json()["detail"]
        async with database_of(database_url) as database:
            await database.execute("UPDATE mailed_codes SET paced_until = now() - interval '1 d'")
        assert len(await code_for(users[2], mails)) == 9


async def test_a_mail_server_that_refuses_or_is_away_is_reported(
    relay: Relay, mails: MailServer
) -> None:
    user = await relay.user()
    mails.answers["RCPT"] = "550 5.1.1 secret text of the server"
    refused = await user.call("POST", "/api/email-code", json={"address": ADDRESS})
    assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "address")
    mails.answers["RCPT"] = "451 4.7.1 secret text of the server"
    away = await user.call("POST", "/api/email-code", json={"address": ADDRESS})
    assert (away.status_code, away.json()["code"]) == (503, "mail_unavailable")
    assert int(away.headers["retry-after"]) > 0
    assert "secret" not in refused.text + away.text


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_code_that_no_mail_server_has_taken_is_not_counted(
    relay: Relay, mails: MailServer, command: str
) -> None:
    user = await relay.user()
    mails.answers[command] = "451 4.7.1 try again later"
    for _ in range(6):
        away = await user.call("POST", "/api/email-code", json={"address": ADDRESS})
        assert away.status_code == 503
    del mails.answers[command]
    for _ in range(5):
        await code_for(user, mails)
    over = await user.call("POST", "/api/email-code", json={"address": ADDRESS})
    assert over.status_code == 429


async def test_without_a_mail_server_there_is_no_such_channel(database_url: str) -> None:
    async with running_relay(database_url) as relay:
        user = await relay.user()
        wanted = {"kind": "email", "address": ADDRESS, "code": "1234 5678"}
        for path, body, field in (
            ("/api/email-code", {"address": ADDRESS}, "address"),
            ("/api/channels", wanted, "kind"),
        ):
            refused = await user.call("POST", path, json=body)
            assert refused.status_code == 422
            (fault,) = refused.json()["errors"]
            assert (fault["where"], "RELAY_SMTP_URL" in fault["message"]) == (field, True)
        listed = (await user.call("GET", "/api/channels")).json()
        assert listed == {"channels": [], "kinds": [k for k in listed["kinds"] if k != "email"]}
        assert {"webhook", "ntfy", "slack", "discord"} <= set(listed["kinds"])
