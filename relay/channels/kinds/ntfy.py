"""ntfy: a push notification on the phones that are subscribed to a topic.

Published as JSON to the root of its server, so that no text of a user is a header
(https://docs.ntfy.sh/publish/#publish-as-json). Without `markdown` ntfy shows text as it is.
"""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from relay.channels.addresses import host_of
from relay.channels.kinds.addresses import ServiceUrl, checked_url
from relay.channels.kinds.answers import outcome_of, shortened
from relay.channels.kinds.base import ChannelRequest, KindContext, Outcome
from relay.channels.kinds.posting import JSON_HEADERS, REFUSED, post
from relay.channels.notification import Notification
from relay.channels.wording import words
from relay.errors import Invalid

TOPIC = r"/[-_A-Za-z0-9]{1,64}"  # as ntfy's server has it
MAX_TOKEN = 256  # characters; those of ntfy have 32
TOKEN_PATTERN = r"^[\x21-\x7e]+$(?!\n)"
HIGH, DEFAULT = 4, 3  # of ntfy's priorities 1 to 5: with 4 a phone vibrates longer
PRIORITIES = {"task.failed": HIGH, "task.lost": HIGH, "task.waiting": HIGH}
TAGS = {  # which ntfy shows as emoji
    "task.failed": "x",
    "task.lost": "warning",
    "task.waiting": "raising_hand",
    "task.succeeded": "white_check_mark",
    "task.canceled": "no_entry_sign",
    "channel.test": "bell",
}


class NtfyRequest(ChannelRequest, tag="ntfy"):
    """`url`: the topic's address, such as https://ntfy.sh/your-topic.

    `access_token` is for a topic that is protected. `priority` replaces those that Relay chooses:
    4 where something is wrong or waits for a person, else 3.
    """

    url: ServiceUrl
    access_token: (
        Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN, pattern=TOKEN_PATTERN)] | None
    ) = None
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None


class NtfySettings(msgspec.Struct, frozen=True):
    """The server's root, the topic, and the token."""

    server: str
    topic: str
    access_token: str | None = None
    priority: int | None = None


class Ntfy:
    """Publishes to a topic of ntfy.sh or of another ntfy server."""

    name: ClassVar[str] = "ntfy"
    request: ClassVar[type[NtfyRequest]] = NtfyRequest
    settings: ClassVar[type[NtfySettings]] = NtfySettings
    example: ClassVar[ChannelRequest] = NtfyRequest(url="https://ntfy.sh/relay-7f3kq2")

    async def check(self, request: NtfyRequest, context: KindContext) -> NtfySettings:
        url = checked_url(request.url, context, TOPIC)
        if url is None:
            raise Invalid.of("url", "must be that of a topic, like https://ntfy.sh/your-topic")
        root, topic = str(url.copy_with(raw_path=b"/")), url.path.removeprefix("/")
        return NtfySettings(root, topic, request.access_token, request.priority)

    def shown(self, settings: NtfySettings) -> dict[str, str]:
        # the name of a topic of ntfy.sh is all that it takes to read it
        return {"url": shortened(f"{settings.server}{settings.topic}")}

    def host(self, settings: NtfySettings) -> str:
        return host_of(settings.server)

    def issued(self, settings: NtfySettings) -> dict[str, str]:
        return {}

    async def send(
        self, settings: NtfySettings, notification: Notification, context: KindContext
    ) -> Outcome:
        headers = dict(JSON_HEADERS)
        if settings.access_token is not None:
            headers["authorization"] = f"Bearer {settings.access_token}"
        body = msgspec.json.encode(ntfy_message(settings, notification))
        return await post(
            context, settings.server, headers, body, lambda it: outcome_of(it, refused=REFUSED)
        )


def ntfy_message(settings: NtfySettings, notification: Notification) -> dict[str, Any]:
    """The JSON of ntfy's publishing."""
    text = words(notification)
    kind = notification.type
    return {
        "topic": settings.topic,
        "title": text.headline,
        "message": text.rest or text.headline,  # an empty one would be shown as "triggered"
        "priority": settings.priority or PRIORITIES.get(kind, DEFAULT),
        "tags": [TAGS[kind]],
        "click": notification.url,
        "actions": [
            {"action": "view", "label": text.action, "url": notification.url, "clear": True}
        ],
    }
