"""The header by which a push service knows this Relay (RFC 8292)."""

import time
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from joserfc import jwt
from joserfc.jwk import ECKey

from relay.channels.kinds.webpush import contact_of, origin_of
from relay.channels.vapid import VapidKeys, public_text

DAY = 86_400


def test_the_header_is_signed_for_one_push_service_and_half_a_day() -> None:
    private_key = generate_private_key(SECP256R1())
    keys = VapidKeys(public_text(private_key), private_key)
    header = keys.authorization("https://push.example:8443", "https://r.example:1")
    scheme, _, rest = header.partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(","))
    assert (scheme, parts["k"]) == ("vapid", keys.public_key)
    key = ECKey.import_key(cast("Any", private_key.public_key()))
    token = jwt.decode(parts["t"], key, algorithms=["ES256"])
    assert token.claims["aud"] == "https://push.example:8443"
    assert token.claims["sub"] == "https://r.example:1"
    assert 0 < token.claims["exp"] - time.time() < DAY


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/x:y?z", "https://fcm.googleapis.com"),
        ("https://push.example:443/a", "https://push.example"),
        ("http://127.0.0.1:8090/notify/1", "http://127.0.0.1:8090"),
    ],
)
def test_the_audience_is_the_origin_of_the_push_service(endpoint: str, origin: str) -> None:
    assert origin_of(endpoint) == origin


@pytest.mark.parametrize(
    ("setting", "base_url", "contact"),
    [
        (None, "https://relay.example", "https://relay.example"),
        (None, "http://127.0.0.1:8000", "mailto:relay@localhost"),
        ("mailto:ops@example.com", "https://relay.example", "mailto:ops@example.com"),
    ],
)
def test_the_contact_is_a_mail_or_an_https_address(
    setting: str | None, base_url: str, contact: str
) -> None:
    assert contact_of(setting, base_url) == contact
