"""What the page's service worker gets: JSON, small enough for a push service, and encrypted.

A push service takes 4 096 bytes (RFC 8030) and sees none of them: the key is the browser's
(RFC 8291).
"""

import base64
import hashlib
import re
from typing import NamedTuple

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from msgspec.structs import replace

from relay.channels.notification import Notification
from relay.channels.wording import shortened
from relay.client.duration_text import duration_text
from relay.client.plain_text import CONTROL_SEQUENCES, clean
from relay.events import rfc3339

MAX_BYTES = 4_096  # of an encrypted message
OVERHEAD_BYTES = 86 + 17  # its header with a public key, and its padding and tag
MAX_NAME = 100  # characters of a task's title, which stands between a few words
MAX_TITLE = 120  # characters; with four bytes each, all that follows stays below MAX_BYTES
MAX_TEXT = 400
MAX_BUTTONS = 2  # of a notification, in most browsers
POINT_BYTES, AUTH_BYTES = 65, 16
TOPIC_CHARACTERS = 32  # RFC 8030

_BASE64URL = re.compile(r"[A-Za-z0-9_-]{2,}={0,2}")


class Recipient(NamedTuple):
    """The keys of a browser's subscription: its point on P-256, and its secret."""

    point: bytes
    auth: bytes


class PushedAsk(msgspec.Struct, frozen=True):
    """What an answer needs; `options` get a button each."""

    ask_id: str
    question_hash: str
    options: tuple[str, ...]


class PushMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message. A later one with the same `tag` replaces it on the screen.

    `always`: it is shown although a page is looked at.
    """

    id: str
    type: str
    timestamp: str
    title: str
    body: str
    tag: str
    task_id: str | None
    always: bool
    ask: PushedAsk | None = None


def push_message(notification: Notification, *, always: bool) -> PushMessage:
    """The message of a notification, with its texts cut to what a push service takes."""
    ask = _answerable(notification)
    # the name is cut, and what became of it stays
    named = replace(notification, title=shortened(clean(notification.name), MAX_NAME))
    return PushMessage(
        id=notification.id,
        type=notification.type,
        timestamp=rfc3339(notification.timestamp),
        title=_plain(" ".join(named.headline.split()), MAX_TITLE),
        body=_plain(_text(notification, ask), MAX_TEXT),
        tag=_tag(notification),
        task_id=notification.task_id,
        always=always or notification.type == "channel.test",
        ask=ask,
    )


def topic_of(message: PushMessage) -> str:
    """Names what a message is about, for push services: an older one that waits is replaced."""
    digest = hashlib.sha256(message.tag.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:TOPIC_CHARACTERS]


def encrypt(message: PushMessage, recipient: Recipient) -> bytes:
    """The body of the request (aes128gcm)."""
    text = msgspec.json.encode(message)
    assert len(text) <= MAX_BYTES - OVERHEAD_BYTES, "the texts are cut to fit"
    sealed: bytes = http_ece.encrypt(
        text,
        private_key=generate_private_key(SECP256R1()),
        dh=recipient.point,
        auth_secret=recipient.auth,
        version="aes128gcm",
    )
    return sealed


def recipient_point(text: str) -> bytes:
    """The point of a subscription's `p256dh`, in base64url. Raises ValueError."""
    point = _decoded(text, POINT_BYTES)
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        raise ValueError("must be a point on the curve P-256") from None
    return point


def recipient_auth(text: str) -> bytes:
    """The secret of a subscription's `auth`, in base64url. Raises ValueError."""
    return _decoded(text, AUTH_BYTES)


def _decoded(text: str, length: int) -> bytes:
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("must be base64url")
    data = base64.urlsafe_b64decode(text.rstrip("=") + "==")
    if len(data) != length:
        raise ValueError(f"must be {length} bytes in base64url")
    return data


def _answerable(notification: Notification) -> PushedAsk | None:
    """The ask, if a press may answer it: then all that is asked stands in the notification."""
    if notification.ask_id is None or notification.question_hash is None:
        return None
    question, options = notification.question or "", notification.options
    whole = len(question) <= MAX_TEXT and not notification.has_details
    few = len(options) <= MAX_BUTTONS
    # A notification leaves out marks that reorder text; the page shows what is answered, with them.
    plain = not any(map(CONTROL_SEQUENCES.search, (question, *options)))
    buttons = options if whole and few and plain else ()
    return PushedAsk(notification.ask_id, notification.question_hash, buttons)


def _text(notification: Notification, ask: PushedAsk | None) -> str:
    if notification.type == "channel.test":
        return "It works: this device is notified also while Relay's page is closed."
    if notification.question is not None:
        choice = " / ".join(notification.options)
        shown = ask is not None and ask.options
        return (
            notification.question if shown or not choice else f"{notification.question}\n{choice}"
        )
    facts = []
    if notification.exit_code:
        facts.append(f"Exit code {notification.exit_code}")
    if notification.duration_s is not None:
        facts.append(f"after {duration_text(max(0.0, notification.duration_s))}")
    return "\n".join(filter(None, (" ".join(facts).capitalize(), notification.message)))


def _tag(notification: Notification) -> str:
    if notification.ask_id is not None:
        return f"relay ask {notification.ask_id}"
    if notification.task_id is not None:
        return f"relay {notification.task_id} {notification.run}"
    return f"relay {notification.type}"


def _plain(text: str, most: int) -> str:
    text = CONTROL_SEQUENCES.sub("", text.replace("\t", " "))
    return text if len(text) <= most else f"{text[: most - 1]}…"
