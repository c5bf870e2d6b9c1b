"""ntfy, Slack and Discord: the calls that they document, and no text of a user as markup."""

import json

import pytest

from relay.channels.kinds import KINDS
from relay.channels.kinds.base import ChannelRequest, Delivered, KindContext, Refused, Retry
from relay.channels.kinds.discord import DiscordRequest
from relay.channels.kinds.ntfy import NtfyRequest
from relay.channels.kinds.slack import SlackRequest
from relay.errors import Invalid
from tests.support import chat_services as chat
from tests.support.notifications import BASE_URL, HOSTILE, ask, context, notification

TASK = f"{BASE_URL}/#task=build%207"
KINDS_OF_CHAT = ("ntfy", "slack", "discord")


def request_for(kind: str, url: str) -> ChannelRequest:
    """The request that adds the channel of a stand-in."""
    if kind == "ntfy":
        return NtfyRequest(url=f"{url}/topic_1-x", access_token="tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2")
    if kind == "slack":
        return SlackRequest(url=f" {url}{chat.SLACK_PATH} ")
    return DiscordRequest(url=f"{url}{chat.DISCORD_PATH}?thread_id=7")


async def sent(kind: str, url: str, *notes: object) -> list[object]:
    """The outcomes of sending them, one after the other."""
    used, found = context(), KINDS[kind]
    settings = await found.check(request_for(kind, url), used)
    try:
        return [await found.send(settings, note, used) for note in notes]  # type: ignore[arg-type]
    finally:
        await used.outbound.close()


@pytest.mark.parametrize("kind", KINDS_OF_CHAT)
async def test_every_notification_is_a_call_that_the_service_documents(kind: str) -> None:
    notes = [notification(type_) for type_ in chat.TYPES] + [
        ask(),
        ask(title=None, task_id=None, options=()),
        notification("channel.test", title=None, task_id=None, run=None, message=None),
        notification(message=None, exit_code=None, duration_s=None),
        notification(title=HOSTILE * 3, message=HOSTILE),
        ask(
            title="`" * 500,
            question="`" * 2_000,
            options=tuple("`" * 99 + str(n) for n in range(9)),
        ),
        notification(title="日本語 " * 80, message="🙂" * 300),
    ]
    with chat.service(getattr(chat, kind)) as service:
        outcomes = await sent(kind, service.url, *notes)
    assert service.refused == []
    assert outcomes == [Delivered(200)] * len(notes)
    assert len(service.taken) == len(notes)


async def test_ntfy_gets_a_title_a_link_a_button_and_the_token() -> None:
    with chat.service(chat.ntfy) as service:
        await sent("ntfy", service.url, notification(title="täsk\r\nX-Evil: 1"), ask())
    failed, asked = service.taken
    assert failed.headers["authorization"] == "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"
    assert "x-evil" not in failed.headers
    assert failed.body["title"] == "täsk X-Evil: 1 failed"
    assert failed.body["message"] == "after 3:10, exit code 2\n\n12 of 30 failed"
    assert (failed.body["priority"], failed.body["click"]) == (4, TASK)
    assert asked.body["message"] == "Deploy build 17?\n\nAnswers: yes · no"
    assert asked.body["actions"] == [
        {"action": "view", "label": "Answer", "url": TASK, "clear": True}
    ]


async def test_slack_takes_no_text_of_a_user_for_markup_or_a_mention() -> None:
    with chat.service(chat.slack) as service:
        await sent("slack", service.url, notification(title=HOSTILE, message=HOSTILE))
    (call,) = service.taken
    assert chat.slack_marks(call.body) == [f"<{TASK}|Open the task>"]
    header, section, _link = call.body["blocks"]
    assert header["text"]["text"].startswith("<!channel> <@U123>")  # shown as it was written
    assert {block["text"]["emoji"] for block in (header, section)} == {False}
    assert "12 of 30" not in json.dumps(call.body)


async def test_discord_takes_no_text_of_a_user_for_markup_or_a_mention() -> None:
    with chat.service(chat.discord) as service:
        await sent("discord", service.url, notification(title=HOSTILE, message=HOSTILE))
    (call,) = service.taken
    assert call.path == f"{chat.DISCORD_PATH}?thread_id=7&wait=true"
    assert chat.discord_marks(call.body["content"]) == ["**", "**", "[", "](<", "#", ">)"]
    assert call.body["content"].count("```") == 2  # one block: no text ends it


@pytest.mark.parametrize("kind", KINDS_OF_CHAT)
async def test_what_a_service_answers_decides_what_follows(kind: str) -> None:
    statuses = (429, 500, 503, 302, 400, 403, 404, 410)
    with chat.service(getattr(chat, kind)) as service:
        service.script = [
            chat.Answer(status, b"", {"Retry-After": "7", "Location": "/other"})
            for status in statuses
        ]
        outcomes = await sent(kind, service.url, *(notification() for _ in statuses))
    limited, *others = outcomes
    assert isinstance(limited, Retry)
    assert (limited.status, limited.after_s) == (429, 7.0)
    assert [type(one) for one in others] == [Retry] * 3 + [Refused] * 4
    ended = {one.status for one in others if isinstance(one, Refused) and one.ends_channel}
    assert ended == ({410} if kind == "ntfy" else {404, 410})
    away = await sent(kind, "http://127.0.0.1:9", notification())
    assert [type(one) for one in away] == [Retry]


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (NtfyRequest(url="https://ntfy.sh/"), "that of a topic"),
        (NtfyRequest(url="https://ntfy.sh/a/b"), "that of a topic"),
        (NtfyRequest(url="https://ntfy.sh/top ic"), "that of a topic"),
        (NtfyRequest(url="https://ntfy.sh/topic?up=1"), "that of a topic"),
        (NtfyRequest(url="https://me:pw@ntfy.sh/topic"), "no user name"),
        (NtfyRequest(url="ntfy.sh/topic"), "https address"),
        (SlackRequest(url="https://hooks.slack.com/"), "incoming webhook"),
        (SlackRequest(url="https://hooks.slack.com/triggers/T1/2/x"), "incoming webhook"),
        (SlackRequest(url="http://10.0.0.1/services/T1/B2/x"), "https address"),
        (SlackRequest(url="https://10.0.0.1/services/T1/B2/x"), "public"),
        (DiscordRequest(url="https://discord.com/api/webhooks/1/x/slack"), "must be a webhook"),
        (DiscordRequest(url="https://discord.com/channels/1/2"), "must be a webhook"),
        (DiscordRequest(url="https://discord.com/api/webhooks/1/x?wait=false"), "a webhook"),
    ],
)  # fmt: skip
async def test_an_address_that_is_none_of_the_service_is_refused(
    request_: ChannelRequest, wrong: str
) -> None:
    used: KindContext = context(private=False)
    kind = str(request_.__struct_config__.tag)
    with pytest.raises(Invalid) as refusal:
        await KINDS[kind].check(request_, used)
    (fault,) = refusal.value.errors
    assert (fault.where, wrong in fault.message) == ("url", True), fault.message
    await used.outbound.close()


@pytest.mark.parametrize("kind", KINDS_OF_CHAT)
async def test_lists_show_no_secret(kind: str) -> None:
    used = context()
    settings = await KINDS[kind].check(request_for(kind, "http://127.0.0.1:9"), used)
    shown = json.dumps(KINDS[kind].shown(settings))
    assert "127.0.0.1:9" in shown
    for secret in ("topic_1", "tk_AgQ", "abcDEF", "to-ken"):
        assert secret not in shown
    await used.outbound.close()
