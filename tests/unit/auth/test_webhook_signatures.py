"""Signatures by Standard Webhooks: the ones that fit, and all that do not."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth.webhook_signatures import (
    MAX_SIGNATURES,
    TIMESTAMP_TOLERANCE_SECONDS,
    BadSignature,
    verify_signature,
)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TIME = 1_769_860_800
BODY = b' {"a": "\xc3\xa9"}\r\n'


def signature(
    key: bytes = KEY, message_id: str = "msg_1", stamp: object = TIME, body: bytes = BODY
) -> str:
    content = f"{message_id}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def signed(
    *, message_id: str = "msg_1", stamp: object = TIME, given: str | None = None
) -> dict[str, str]:
    own = signature(message_id=message_id, stamp=stamp) if given is None else given
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": own,
    }


def test_the_published_example_of_the_standard_is_valid() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert verify_signature(headers, body, secret, 1614265330) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


VALID = {
    "plain": signed(),
    "as old as may be": signed(stamp=TIME - TIMESTAMP_TOLERANCE_SECONDS),
    "as early as may be": signed(stamp=TIME + TIMESTAMP_TOLERANCE_SECONDS),
    "the second of two": signed(given=f"{signature(KEY[::-1])} {signature()}"),
    "beside another version": signed(given=f"v1a,AAAA v2,{signature()[3:]} {signature()}"),
    "beside a broken one": signed(given=f"v1,!!! v1, v1 {signature()}"),
    "the last that is looked at": signed(
        given=" ".join(["v1,AAAA"] * (MAX_SIGNATURES - 1) + [signature()])
    ),
    "an odd id": signed(message_id="!" * 128),
}
INVALID = {
    "of another secret": signed(given=signature(KEY[::-1])),
    "of another body": signed(given=signature(body=BODY + b" ")),
    "of another id": signed(given=signature(message_id="msg_2")),
    "of another time": signed(given=signature(stamp=TIME + 1)),
    "too old": signed(stamp=TIME - TIMESTAMP_TOLERANCE_SECONDS - 1),
    "from the future": signed(stamp=TIME + TIMESTAMP_TOLERANCE_SECONDS + 1),
    "of another version": signed(given="v2," + signature()[3:]),
    "without a version": signed(given=signature()[3:]),
    "cut short": signed(given=signature()[:-4]),
    "in another case": signed(given=signature().swapcase()),
    "not base64": signed(given="v1,é"),
    "one too many": signed(given=" ".join(["v1,AAAA"] * MAX_SIGNATURES + [signature()])),
    "a time that is none": signed(stamp="soon"),
    "a time with a sign": signed(stamp=f"+{TIME}"),
    "a time with a fraction": signed(stamp=f"{TIME}.0"),
    "a time beyond time": signed(stamp="9" * 400),
    "an id with blanks": signed(message_id="msg 1"),
    "an id too long": signed(message_id="!" * 129),
    "an empty id": signed(message_id=""),
    "empty": signed(given=""),
}


@pytest.mark.parametrize("case", VALID)
def test_a_signature_that_fits_gives_the_messages_id(case: str) -> None:
    headers = VALID[case]
    assert verify_signature(headers, BODY, SECRET, TIME) == headers["webhook-id"]


@pytest.mark.parametrize("case", INVALID)
def test_a_signature_that_does_not_fit_is_refused(case: str) -> None:
    with pytest.raises(BadSignature):
        verify_signature(INVALID[case], BODY, SECRET, TIME)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused_with_what_to_send(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(BadSignature, match="webhook-id, webhook-timestamp and webhook-signature"):
        verify_signature(headers, BODY, SECRET, TIME)


@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_any_signature_header_is_judged_without_a_crash(header: str) -> None:
    with pytest.raises(BadSignature):
        verify_signature(signed(given=header), BODY, SECRET, TIME)
