"""Which forwarded address is trusted."""

import pytest

from relay.web.middleware.proxy_headers import forwarded_for


@pytest.mark.parametrize(
    ("lines", "hops", "address"),
    [
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], 1, "203.0.113.7"),  # the client sent the first itself
        (["198.51.100.1", "203.0.113.7"], 1, "203.0.113.7"),  # a second header is the same list
        (["198.51.100.1, 203.0.113.7, 10.0.0.2"], 2, "203.0.113.7"),
        (["203.0.113.7"], 2, None),  # it did not come through both
        ([], 1, None),
        ([""], 1, None),
        (["unknown"], 1, None),
        (["198.51.100.1, nonsense"], 1, None),  # never on to what the client says
        (["203.0.113.7:4711"], 1, "203.0.113.7"),
        (["[2001:db8::7]:4711"], 1, "2001:db8::7"),
        (["2001:DB8:0::7"], 1, "2001:db8::7"),
        (["\xff"], 1, None),
    ],
)
def test_only_addresses_added_by_trusted_proxies_count(
    lines: list[str], hops: int, address: str | None
) -> None:
    headers = [
        (b"host", b"relay"),
        *((b"x-forwarded-for", line.encode("latin-1")) for line in lines),
    ]
    assert forwarded_for(headers, hops) == address
