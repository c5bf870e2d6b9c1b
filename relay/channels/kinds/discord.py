"""Discord: a message in a channel, by a webhook.

No text of a user mentions anyone (`allowed_mentions`), and none is markup: the headline is escaped,
the rest stands in a code block
(https://discord.com/developers/docs/resources/webhook#execute-webhook).
"""

import re
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

PATH = r"/api(?:/v[0-9]+)?/webhooks/[0-9]+/[\w-]+(?:\?thread_id=[0-9]+)?"
GONE = (404, 410)  # the webhook was removed
MAX_CONTENT = 2_000  # characters that Discord takes
MAX_BLOCK = 1_100  # characters of the code block: with all the rest it is below MAX_CONTENT
SUPPRESS_EMBEDS = 4  # a message flag: no preview of addresses in it
_MARKUP = re.compile(r"([^\w\s])")


class DiscordRequest(ChannelRequest, tag="discord"):
    """`url`: a webhook of Discord, https://discord.com/api/webhooks/…; with `?thread_id=` for a
    thread."""

    url: ServiceUrl


class DiscordSettings(msgspec.Struct, frozen=True):
    """The address, which is a secret: it is all that it takes to post."""

    url: str


class Discord:
    """Posts to a webhook of Discord."""

    name: ClassVar[str] = "discord"
    request: ClassVar[type[DiscordRequest]] = DiscordRequest
    settings: ClassVar[type[DiscordSettings]] = DiscordSettings
    example: ClassVar[ChannelRequest] = DiscordRequest(
        url="https://discord.com/api/webhooks/1234567890/XXXXXXXX"
    )

    async def check(self, request: DiscordRequest, context: KindContext) -> DiscordSettings:
        url = checked_url(request.url, context, PATH)
        if url is None:
            raise Invalid.of(
                "url", "must be a webhook like https://discord.com/api/webhooks/1234567890/…"
            )
        return DiscordSettings(str(url))

    def shown(self, settings: DiscordSettings) -> dict[str, str]:
        return {"url": shortened(settings.url.partition("?")[0])}

    def host(self, settings: DiscordSettings) -> str:
        return host_of(settings.url)

    def issued(self, settings: DiscordSettings) -> dict[str, str]:
        return {}

    async def send(
        self, settings: DiscordSettings, notification: Notification, context: KindContext
    ) -> Outcome:
        # without `wait`, Discord reports no message that it does not keep
        url = f"{settings.url}{'&' if '?' in settings.url else '?'}wait=true"
        body = msgspec.json.encode(discord_message(notification))
        return await post(
            *(context, url, JSON_HEADERS, body),
            lambda answer: outcome_of(answer, gone=GONE, refused=REFUSED),
        )


def discord_message(notification: Notification) -> dict[str, Any]:
    """The JSON of Discord's webhooks."""
    text = words(notification)
    lines = [f"**{_escaped(text.headline)}** {_escaped(text.facts)}".rstrip()]
    if block := "\n\n".join(filter(None, (text.body, text.options))):
        lines.append(f"```\n{_fenced(block)}\n```")
    lines.append(f"[{text.action}](<{notification.url}>)")
    return {
        "content": "\n".join(lines)[:MAX_CONTENT],
        "allowed_mentions": {"parse": []},
        "flags": SUPPRESS_EMBEDS,
    }


def _escaped(text: str) -> str:
    """The text with a backslash before each character that could be markup."""
    return _MARKUP.sub(r"\\\1", text).replace("_", r"\_")


def _fenced(text: str) -> str:
    """The text for a code block: no run of backticks ends it."""
    return re.sub("`(?=`)", "`\N{ZERO WIDTH SPACE}", text)[:MAX_BLOCK]
