"""Verify signed requests (Standard Webhooks 1.0): the sender of a body has the secret.

webhook-id: <idempotency key>    webhook-timestamp: <seconds since 1970>
webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")> [v1,… …]
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

from relay.errors import Unauthorized
from relay.identifiers import is_identifier

TIMESTAMP_TOLERANCE_SECONDS = 300  # either way, against replays, as Standard Webhooks recommends
MAX_SIGNATURES = 8  # in one header; key rotation needs two


class BadSignature(Unauthorized):
    code, title = "bad_signature", "Signature refused"
    hint = (
        "This token accepts only signed requests: send webhook-id, webhook-timestamp and"
        " webhook-signature (Standard Webhooks), made with its signing secret."
    )

    reason = "signature"


def verify_signature(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """The request's `webhook-id`, if one signature is valid. Raises BadSignature."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not (message_id and timestamp and signatures):
        raise BadSignature()
    if not is_identifier(message_id) or not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise BadSignature("webhook-id or webhook-timestamp is malformed.")
    if abs(now - int(timestamp)) > TIMESTAMP_TOLERANCE_SECONDS:
        raise BadSignature(
            "webhook-timestamp differs from Relay's clock by more than five minutes."
        )
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    expected = hmac.digest(key, content, hashlib.sha256)
    # all signatures are compared, in constant time, so that the time reveals nothing
    matches = [hmac.compare_digest(expected, candidate) for candidate in _candidates(signatures)]
    if not any(matches):
        raise BadSignature("No webhook-signature matches the body.")
    return message_id


def _candidates(header: str) -> list[bytes]:
    """The header's v1 signatures. Other versions and malformed ones are ignored."""
    found: list[bytes] = []
    for part in header.split(" ")[:MAX_SIGNATURES]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
