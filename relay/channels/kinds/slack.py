"""Slack: a message in a channel, by an incoming webhook.

Text of users stands in `plain_text` objects, where Slack takes nothing for markup or a mention, and
escaped in the fallback that notifications show
(https://docs.slack.dev/messaging/formatting-message-text#escaping).
"""

from typing import Any, ClassVar

import msgspec

from relay.channels.addresses import host_of
from relay.channels.kinds.addresses import ServiceUrl, checked_url
from relay.channels.kinds.answers import outcome_of, shortened
from relay.channels.kinds.base import ChannelRequest, KindContext, Outcome
from relay.channels.kinds.posting import JSON_HEADERS, REFUSED, post
from relay.channels.notification import Notification
from relay.channels.wording import words
from relay.errors import Invalid

PATH = r"/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+"
GONE = (404, 410)  # the webhook was removed, or its channel is archived
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class SlackRequest(ChannelRequest, tag="slack"):
    """`url`: an incoming webhook of Slack, https://hooks.slack.com/services/…"""

    url: ServiceUrl


class SlackSettings(msgspec.Struct, frozen=True):
    """The address, which is a secret: it is all that it takes to post."""

    url: str


class Slack:
    """Posts to an incoming webhook of Slack."""

    name: ClassVar[str] = "slack"
    request: ClassVar[type[SlackRequest]] = SlackRequest
    settings: ClassVar[type[SlackSettings]] = SlackSettings
    example: ClassVar[ChannelRequest] = SlackRequest(
        url="https://hooks.slack.com/services/T0000/B0000/XXXXXXXX"
    )

    async def check(self, request: SlackRequest, context: KindContext) -> SlackSettings:
        url = checked_url(request.url, context, PATH)
        if url is None:
            raise Invalid.of(
                "url", "must be an incoming webhook like https://hooks.slack.com/services/T…/B…/…"
            )
        return SlackSettings(str(url))

    def shown(self, settings: SlackSettings) -> dict[str, str]:
        return {"url": shortened(settings.url)}

    def host(self, settings: SlackSettings) -> str:
        return host_of(settings.url)

    def issued(self, settings: SlackSettings) -> dict[str, str]:
        return {}

    async def send(
        self, settings: SlackSettings, notification: Notification, context: KindContext
    ) -> Outcome:
        body = msgspec.json.encode(slack_message(notification))
        return await post(
            *(context, settings.url, JSON_HEADERS, body),
            lambda answer: outcome_of(answer, gone=GONE, refused=REFUSED),
        )


def slack_message(notification: Notification) -> dict[str, Any]:
    """The JSON of an incoming webhook."""
    text = words(notification)
    line = f"{text.headline} {text.facts}".rstrip()
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(text.headline)}]
    if text.rest:
        blocks.append({"type": "section", "text": _plain(text.rest)})
    link = f"<{notification.url.translate(_ESCAPES)}|{text.action}>"
    blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    return {
        "text": line.translate(_ESCAPES),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
