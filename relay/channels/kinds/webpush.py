"""Web Push (RFC 8030): a notification on a device, by the push service of its browser."""

import hashlib
from functools import partial
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.channels.addresses import check_url, host_of
from relay.channels.kinds.addresses import PublicUrl
from relay.channels.kinds.answers import outcome_of
from relay.channels.kinds.base import ChannelRequest, KindContext, Outcome, Refused, Retry
from relay.channels.kinds.posting import post
from relay.channels.notification import Notification
from relay.channels.push_message import (
    Recipient,
    encrypt,
    push_message,
    recipient_auth,
    recipient_point,
    topic_of,
)
from relay.channels.sealing import CannotOpen
from relay.channels.urls import parse_url
from relay.errors import FieldError, Invalid

GONE = (404, 410)  # RFC 8030, 7.3: the subscription has ended
REFUSED = (400, 401, 403, 413)  # the same message would be refused again
TTL_SECONDS = 86_400  # a device that is off for longer shows nothing of yesterday
NO_CONTACT = "mailto:relay@localhost"  # of a Relay on this machine; Apple's service refuses it
URGENT = frozenset({"task.failed", "task.lost", "task.waiting", "channel.test"})  # wake the device


class SubscriptionKeys(msgspec.Struct):
    """The browser's public key, and its secret; both in base64url."""

    p256dh: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{87}=?$")]
    auth: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{22}(==)?$")]


class Subscription(msgspec.Struct):
    """A `PushSubscription` as browsers write it in JSON; what else it has is left aside."""

    endpoint: PublicUrl
    keys: SubscriptionKeys


class WebPushRequest(ChannelRequest, tag="webpush"):
    """A browser's subscription, made with the key of `GET /api/channels/webpush/key`.

    `replaces` is the `subscription_id` of the one before it, whose channel goes on with this one.
    """

    subscription: Subscription
    replaces: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | UnsetType = UNSET


class WebPushSettings(msgspec.Struct, frozen=True):
    """The subscription, the key it was made with, and whether it is shown beside a visible page."""

    endpoint: str
    point: bytes
    auth: bytes
    public_key: str
    always: bool


class WebPush:
    """Sends encrypted messages to the push services of browsers."""

    name: ClassVar[str] = "webpush"
    request: ClassVar[type[Any]] = WebPushRequest
    settings: ClassVar[type[Any]] = WebPushSettings
    example: ClassVar[ChannelRequest] = WebPushRequest(
        subscription=Subscription(
            "https://push.example.com/send/dGhpcyBpcyBhIGRldmljZQ",
            # the receiver of RFC 8291, 5
            SubscriptionKeys(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
                "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                "BTBZMqHH6r4Tts7J_aSIgg",
            ),
        )
    )

    async def check(self, request: WebPushRequest, context: KindContext) -> WebPushSettings:
        subscription = request.subscription
        faults: list[FieldError] = []
        point, auth = b"", b""
        try:
            _check_endpoint(subscription.endpoint, private=context.outbound.private)
        except ValueError as error:
            faults.append(FieldError("subscription.endpoint", str(error)))
        try:
            point = recipient_point(subscription.keys.p256dh)
        except ValueError as error:
            faults.append(FieldError("subscription.keys.p256dh", str(error)))
        try:
            auth = recipient_auth(subscription.keys.auth)
        except ValueError as error:
            faults.append(FieldError("subscription.keys.auth", str(error)))
        if faults:
            raise Invalid(errors=faults)
        keys = await context.vapid.present()
        always = not request.unless_watched
        return WebPushSettings(subscription.endpoint, point, auth, keys.public_key, always)

    def shown(self, settings: WebPushSettings) -> dict[str, str]:
        """The push service, and a hash by which a browser finds its own subscription."""
        return {
            "service": parse_url(settings.endpoint).host,
            "subscription_id": hashlib.sha256(settings.endpoint.encode()).hexdigest(),
        }

    def host(self, settings: WebPushSettings) -> str:
        return host_of(settings.endpoint)

    def issued(self, settings: WebPushSettings) -> dict[str, str]:
        return {}

    async def send(
        self, settings: WebPushSettings, notification: Notification, context: KindContext
    ) -> Outcome:
        try:
            keys = await context.vapid.keys_of(settings.public_key)
        except CannotOpen as error:
            return Retry(f"the VAPID keys cannot be opened: {error}")
        if keys is None:
            reason = "Relay has new VAPID keys: open its page on this device"
            return Refused(reason, ends_channel=True)
        message = push_message(notification, always=settings.always)
        headers = {
            "authorization": keys.authorization(
                origin_of(settings.endpoint),
                contact_of(context.settings.push_contact, context.base_url),
            ),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(TTL_SECONDS),
            "topic": topic_of(message),
            "urgency": "high" if notification.type in URGENT else "normal",
        }
        body = encrypt(message, Recipient(settings.point, settings.auth))
        read = partial(outcome_of, gone=GONE, refused=REFUSED)
        return await post(context, settings.endpoint, headers, body, read)


def _check_endpoint(endpoint: str, *, private: bool) -> None:
    """Raises ValueError with what is wrong with it."""
    if ":" in parse_url(check_url(endpoint, private=private)).host:
        raise ValueError("must have the name of a host")  # py-vapid takes no IPv6 address


def origin_of(url: str) -> str:
    """The origin of an address, without a default port (RFC 6454): the audience of the header."""
    parsed = parse_url(url)
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def contact_of(push_contact: str | None, base_url: str) -> str:
    """Where push services find the operator of this Relay: a mailto or an https address."""
    return push_contact or (base_url if base_url.startswith("https:") else NO_CONTACT)
