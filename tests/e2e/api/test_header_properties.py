"""Properties of headers and URLs that clients send: parsed as documented, or refused."""

import base64
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.auth.origins import Origins
from relay.auth.webhook_signatures import BadSignature, verify_signature
from relay.errors import BadRequest, Unauthorized
from relay.realtime.resume import MAX_LAST, parse_start
from relay.server.request_id import request_id_of
from relay.web.auth import presented_token
from relay.web.openapi.headers import HEADERS, REQUEST_ID
from relay.web.openapi.schemas import Schemas
from relay.web.openapi.stream_parameters import AFTER, LAST_EVENT_ID
from relay.web.request import Request
from tests.support.relay_server import Relay

OWN = "https://relay.example"
ORIGINS = Origins(OWN, ["https://app.example", "https://*.preview.example"])
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()


def pattern(type_: Any) -> str:
    return str(Schemas().of(type_)["pattern"]).replace("$", r"\Z")


AFTERS = pattern(AFTER.type)
KNOWN = pattern(LAST_EVENT_ID.type)


@given(st.from_regex(AFTERS))
def test_a_documented_cursor_is_parsed(text: str) -> None:
    start = parse_start({"after": text})
    assert start.oldest if text == "oldest" else str(start.after) == text


@given(st.text(max_size=90) | st.from_regex(AFTERS).map(lambda text: f" {text}"))
def test_a_malformed_cursor_is_refused_in_every_place(text: str) -> None:
    assume(text)  # an empty header counts as absent
    assume(not re.search(KNOWN, text) and not re.fullmatch(r".*\.[0-9]{19}", text))
    good = "a.1"
    for args, header in (
        ({"lastEventId": text}, None),
        ({"lastEventId": good}, text),
        ({"lastEventId": text, "after": good}, good),
    ):
        with pytest.raises(BadRequest):
            parse_start(args, header)
    if text != "oldest":
        with pytest.raises(BadRequest):
            parse_start({"after": text}, good)


@given(st.text(max_size=12))
def test_numbers_are_ascii_digits_within_bounds(text: str) -> None:
    plain = re.fullmatch(r"[0-9]{1,9}", text, re.ASCII)
    if plain and 1 <= int(text) <= MAX_LAST:
        assert parse_start({"last": text}).last == int(text)
    else:
        with pytest.raises(BadRequest):
            parse_start({"last": text})


LISTED = st.sampled_from([OWN, "https://app.example", "https://pr-17.preview.example"])


@given(LISTED, st.text(max_size=8), st.text(max_size=8))
def test_origins_are_compared_as_a_whole(origin: str, before: str, after: str) -> None:
    assert ORIGINS.allows(origin)
    changed = before + origin + after
    assert ORIGINS.allows(changed) is (changed == origin)


@given(st.text(max_size=70))
def test_a_wildcard_matches_one_label(label: str) -> None:
    allowed = re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label, re.ASCII) is not None
    assert ORIGINS.allows(f"https://{label}.preview.example") is allowed
    assert not ORIGINS.allows(f"http://{label}.preview.example")
    assert not ORIGINS.allows(f"https://{label}.preview.example.evil.example")


@given(st.binary(max_size=200))
def test_a_request_id_is_always_fit_for_a_header_and_a_log(value: bytes) -> None:
    made = request_id_of([(b"x-request-id", value)])
    assert re.search(str(HEADERS[REQUEST_ID][1]["pattern"]).replace("$", r"\Z"), made)
    assert made == value.decode("latin-1") or made.isalnum()


# what h11 lets through in a header's value: no CR, LF or NUL, no blanks around it
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
).map(str.strip)


@given(VALUES | VALUES.map(lambda value: f"Bearer {value}".strip()))
def test_an_authorization_header_is_a_bearer_or_an_error(value: str) -> None:
    fields = [(b"authorization", value.encode("latin-1")), (b"origin", OWN.encode())]
    fields.append((b"cookie", b"relay_session=x; __Host-relay_session=x"))
    services: Any = SimpleNamespace(origins=ORIGINS, secure=True)
    try:
        token = presented_token(Request({"headers": fields}, services))
    except Unauthorized:
        assert not re.fullmatch(r"(?i)bearer +[\x21-\x7e]+", value)
    else:
        assert token
        assert value[:6].lower() == "bearer"
        assert value[6:7].isspace()
        assert token == value[7:].strip()


@given(VALUES, VALUES, VALUES)
def test_no_signature_verifies_without_the_secret(name: str, stamp: str, made: str) -> None:
    headers = {"webhook-id": name, "webhook-timestamp": stamp}
    headers["webhook-signature"] = made
    for signature in (made, f"v1,{base64.b64encode(made.encode()).decode()}"):
        headers["webhook-signature"] = signature
        with pytest.raises(BadSignature):
            verify_signature(headers, b"{}", SECRET, 1_769_860_800.0)


@pytest.mark.parametrize(
    "ticket", ["x", "%00", "%0d%0a", "%ED%A0%80", "a" * 5_000, "'--", "..%2f", "ticket=1", "é"]
)
async def test_a_malformed_ticket_opens_no_stream(relay: Relay, ticket: str) -> None:
    answer = await relay.http.get(f"/api/sse?ticket={ticket}")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
