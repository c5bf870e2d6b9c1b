"""Webhooks: a signed POST of JSON, as Standard Webhooks 1.0 has it."""

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any, ClassVar

import msgspec

from relay.channels.addresses import check_url, host_of
from relay.channels.kinds.addresses import PublicUrl
from relay.channels.kinds.answers import outcome_of, shortened
from relay.channels.kinds.base import ChannelRequest, KindContext, Outcome
from relay.channels.kinds.posting import post
from relay.channels.notification import Notification
from relay.errors import Invalid
from relay.events import rfc3339

SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


class WebhookRequest(ChannelRequest, tag="webhook"):
    """A webhook: `url` gets a signed POST for each notification."""

    url: PublicUrl


class WebhookSettings(msgspec.Struct, frozen=True):
    """The address, and the secret that signs: 32 bytes in base64."""

    url: str
    secret: str


class Webhook:
    """Posts JSON to an address of the user."""

    name: ClassVar[str] = "webhook"
    request: ClassVar[type[Any]] = WebhookRequest
    settings: ClassVar[type[Any]] = WebhookSettings
    example: ClassVar[ChannelRequest] = WebhookRequest(url="https://hooks.example/relay")

    async def check(self, request: WebhookRequest, context: KindContext) -> WebhookSettings:
        try:
            url = check_url(request.url, private=context.outbound.private)
        except ValueError as error:
            raise Invalid.of("url", str(error)) from None
        secret = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return WebhookSettings(url, secret)

    def shown(self, settings: WebhookSettings) -> dict[str, str]:
        return {"url": shortened(settings.url)}

    def host(self, settings: WebhookSettings) -> str:
        return host_of(settings.url)

    def issued(self, settings: WebhookSettings) -> dict[str, str]:
        return {"signing_secret": f"whsec_{settings.secret}"}

    async def send(
        self, settings: WebhookSettings, notification: Notification, context: KindContext
    ) -> Outcome:
        body = webhook_body(notification)
        headers = signed_headers(settings.secret, notification.id, int(time.time()), body)
        return await post(context, settings.url, headers, body, outcome_of)


class _Data(msgspec.Struct, omit_defaults=True):
    task_id: str | None
    run: int | None
    state: str | None
    title: str | None
    message: str | None
    url: str
    exit_code: int | None
    duration_s: float | None
    ask_id: str | None = None
    question: str | None = None
    options: tuple[str, ...] | None = None  # of an ask; a text has none


class _Body(msgspec.Struct):
    type: str
    timestamp: str
    data: _Data


def webhook_body(notification: Notification) -> bytes:
    """The JSON of a webhook: `type`, `timestamp` and `data`."""
    data = _Data(
        task_id=notification.task_id,
        run=notification.run,
        state=notification.state,
        title=notification.title,
        message=notification.message,
        url=notification.url,
        exit_code=notification.exit_code,
        duration_s=notification.duration_s,
        ask_id=notification.ask_id,
        question=notification.question,
        options=None if notification.ask_id is None else notification.options,
    )
    body = _Body(notification.type, rfc3339(notification.timestamp), data)
    return msgspec.json.encode(body)


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook, signed with a secret in base64 at a Unix time."""
    content = b".".join((message_id.encode(), b"%d" % timestamp, body))
    signature = hmac.digest(base64.b64decode(secret), content, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
