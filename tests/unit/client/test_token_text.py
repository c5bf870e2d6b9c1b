"""A token as it was written down: by another system, cut, changed, or with something around it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.credentials import NoCredentials, find_credentials
from relay.client.token_text import DamagedToken, read_token, token_claims


def part(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()


HEADER = part({"alg": "HS256", "typ": "JWT", "kid": "k1"})
CLAIMS = {"iss": "https://relay.example", "sub": "user-1", "type": "hook"}
TOKEN = f"{HEADER}.{part(CLAIMS)}.{'s' * 43}"
AROUND = st.text(st.sampled_from(" \t\r\n"), max_size=3)


@given(AROUND, st.sampled_from(["", "\ufeff"]), AROUND, st.sampled_from([TOKEN, "opaque-token"]))
def test_what_stands_around_a_token_is_passed_over(
    before: str, mark: str, after: str, token: str
) -> None:
    assert read_token(f"{before}{mark}{token}{after}") == token


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_cut_anywhere_is_refused(length: int) -> None:
    for cut in (TOKEN[:length], TOKEN[len(TOKEN) - length :]):
        # what is left of the end alone may be the text of another kind of token
        if cut.startswith("eyJ") or "." in cut or not cut:
            with pytest.raises(DamagedToken):
                read_token(cut)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("\ufeff", "is empty"),
        (TOKEN[:-5], "is cut short: 5 characters are missing at the end. Copy all of it"),
        (TOKEN[:50], "is cut short: it has 1 of its 3 parts"),
        (TOKEN[: len(HEADER) + 9], "is cut short: it has 2 of its 3 parts"),
        (TOKEN[4:], "is damaged: its beginning is missing or changed"),
        (f"{HEADER}.{part(CLAIMS)[5:]}.{'s' * 43}", "is damaged: characters are missing"),
        (f"{TOKEN}x", "is damaged: it has characters after its end"),
        (f"{TOKEN[:-1]}+", "is damaged: its end is changed"),
        (f"{TOKEN}.{TOKEN}", "is damaged: it has 6 parts instead of 3"),
        (f"{TOKEN[:80]}\r\n{TOKEN[80:]}", "is invalid: character 81 is a space"),
        (f"token: {TOKEN}", "is invalid: character 7 is a space"),
        (f"“{TOKEN}”", "is invalid: character 1 is a special character"),
        # as a shell hands over a file in UTF-16: without its NUL bytes
        (f"\udcff\udcfe{TOKEN}", "is UTF-16 (it begins with the byte order mark FF FE). Save it"),
        (f"\udcfe\udcff{TOKEN}", "is UTF-16 (it begins with the byte order mark FE FF). Save it"),
        ("\ud800", "is invalid: character 1 is a special character"),
    ],
)
def test_a_damaged_token_is_named(text: str, fault: str) -> None:
    with pytest.raises(DamagedToken) as refused:
        read_token(text)
    assert str(refused.value).startswith(fault)
    environ = {"RELAY_URL": "http://relay.example", "RELAY_TOKEN": text}
    if text:
        with pytest.raises(NoCredentials, match="the token in RELAY_TOKEN is"):
            find_credentials(environ=environ)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("algorithm", ["EdDSA", None])
def test_a_token_of_another_algorithm_may_have_another_length(algorithm: str | None) -> None:
    token = f"{part({'alg': algorithm})}.{part(CLAIMS)}.{'s' * 86}"
    assert read_token(token) == token


@given(st.text())
def test_claims_of_any_text_are_fields(text: str) -> None:
    assert isinstance(token_claims(text), dict)
    assert token_claims(TOKEN) == CLAIMS


def test_the_source_of_a_token_is_known() -> None:
    environ = {"RELAY_URL": "http://relay.example", "RELAY_TOKEN": "\ufeff opaque\r\n"}
    found = find_credentials(environ=environ)
    assert (found.token, found.source) == ("opaque", "RELAY_TOKEN")
    assert find_credentials(None, "other", environ).source == "--token"
