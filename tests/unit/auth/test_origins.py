"""Which Origins are accepted."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth.origins import OriginList, Origins
from relay.config.parsers import origins
from relay.web.middleware.cors import cors_headers
from tests.support.origins import FOREIGN

LISTED = OriginList(
    origins(
        "https://app.example.com:443, https://*.example.app, http://127.0.0.1:1234,"
        " http://[0:0:0:0:0:0:0:1]:80, https://*.pages.example.org:8443, https://xn--bcher-kva.example"
    )
)

COUNT = [
    "https://app.example.com",
    "https://a.example.app",
    "https://a-1.example.app",
    "https://xn--bcher-kva.example.app",
    f"https://{'a' * 63}.example.app",
    "http://127.0.0.1:1234",
    "http://[::1]",
    "https://a.pages.example.org:8443",
    "https://xn--bcher-kva.example",
]


@pytest.mark.parametrize("origin", COUNT)
def test_a_listed_origin_is_accepted(origin: str) -> None:
    assert origin in LISTED


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_lookalike_origin_is_refused(origin: str) -> None:
    assert origin not in LISTED


def test_no_origin_is_listed_by_default() -> None:
    for origin in (*COUNT, *FOREIGN):
        assert origin not in OriginList(())


_ONE_LABEL = re.compile(r"https://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.example\.app")
_NEAR = st.one_of(
    st.text(alphabet=string.ascii_letters + string.digits + ".-_:/@#?%\\\n\r ä*", max_size=70),
    st.sampled_from(["a", "a.b", "evil.com/", "user@a", "a:443", "a\n"]),
)


@given(_NEAR, st.sampled_from(["https://", "http://", "https:/", "//"]), _NEAR)
def test_a_pattern_matches_one_label(label: str, scheme: str, tail: str) -> None:
    origin = f"{scheme}{label}.example.app"
    assert (origin in LISTED) is (_ONE_LABEL.fullmatch(origin) is not None)
    if tail:
        assert origin + tail not in LISTED


@given(st.text(st.characters(max_codepoint=0xFF), max_size=100) | st.sampled_from(COUNT))
def test_a_response_grants_only_the_listed_origin(origin: str) -> None:
    granted = dict(cors_headers(LISTED, [(b"origin", origin.encode("latin-1"))]))
    assert (origin in LISTED) is (b"access-control-allow-origin" in granted)
    assert granted[b"vary"] == b"Origin"


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("HTTPS://App.Example.Com", "https://app.example.com"),
        ("https://*.example.app:443", "https://*.example.app"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ],
)
def test_an_origin_is_kept_as_browsers_spell_it(text: str, spelled: str) -> None:
    assert origins(text) == (spelled,)
    assert spelled.replace("*", "a") in OriginList(origins(text))


def test_loopback_names_are_own_on_the_same_port_only() -> None:
    judge = Origins("http://127.0.0.1:8000", ())
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert judge.is_own(f"http://{host}:8000")
        assert not judge.allows(f"http://{host}:8001")
        assert not judge.allows(f"https://{host}:8000")
        assert not judge.allows(f"http://{host}")
    assert not judge.allows("http://localhost.:8000")
    assert not judge.allows("http://a.localhost:8000")
    assert Origins("https://relay.example", ()).own == {"https://relay.example"}
