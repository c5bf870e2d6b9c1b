"""Signatures of webhooks, made by Standard Webhooks' own library."""

import time
from datetime import UTC, datetime
from typing import Any


def signed_headers(webhook: Any, message_id: str, body: str, *, age: float = 0) -> dict[str, str]:
    """The three headers, as the library makes them."""
    then = datetime.fromtimestamp(int(time.time() - age), UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(then.timestamp())),
        "webhook-signature": webhook.sign(message_id, then, body),
    }
