"""Which addresses a user may have Relay call."""

from ipaddress import ip_address

import pytest

from relay.channels.addresses import check_url, host_of, is_public

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.170"),
    *("192.0.0.8", "192.0.0.192", "168.63.129.16", "::ffff:168.63.129.16", "3fff::1"),
    *("198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1"),
    *("::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1"),
    # IPv4 addresses in the forms of IPv6: mapped, compatible, 6to4, translated, Teredo
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::169.254.169.254"),
    *("64:ff9b:1::10.0.0.1", "64:ff9b:1:a00:0:100::", "64:ff9b:1::8.8.8.8"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1"),
    *("100::1", "4000::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_public_internet_is_not_called(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "https"),
        ("nonsense", "https"),
        ("ftp://example.com/", "https"),
        ("http://example.com/", "https"),
        ("https://", "https"),
        ("https:///path", "https"),
        ("https://user:word@example.com/", "user name"),
        ("https://example.com:8443/", "port"),
        ("https://example.com:99999/", "port"),
        ("https://127.0.0.1/", "public"),
        ("https://127.1/", "public"),
        ("https://0x7f000001/", "public"),
        ("https://2130706433/", "public"),
        ("https://0177.0.0.1/", "an address"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:169.254.169.254]/", "public"),
        ("https://169.254.169.254/latest/meta-data/", "public"),
        ("https://localhost/", "public host"),
        ("https://LOCALHOST./", "public host"),
        ("https://postgres.internal/", "public host"),
        ("https://example.com/" + "x" * 2_000, "characters"),
    ],
)
def test_an_address_that_is_not_called_is_refused_when_it_is_given(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_url(url, private=False)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.com/hook?key=1#part", "https://example.com/hook?key=1"),
        ("https://Example.COM:443/a", "https://example.com/a"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
    ],
)
def test_a_public_address_is_kept_in_its_normal_form(url: str, normal: str) -> None:
    assert str(check_url(url, private=False)).encode("idna" if "xn--" in normal else "ascii")
    assert check_url(url, private=False).replace("bücher", "xn--bcher-kva") == normal


def test_private_addresses_are_called_where_the_operator_wants_it() -> None:
    for url in ("http://127.0.0.1:9000/hook", "https://[::1]:8443/", "http://ntfy.internal/x"):
        assert check_url(url, private=True) == url
    with pytest.raises(ValueError, match="user name"):
        check_url("http://a:b@127.0.0.1/", private=True)


@pytest.mark.parametrize(
    ("host", "urls"),
    [
        (
            "example.com",
            ["https://example.com/a", "https://Example.COM.:443", "https://example。com"],
        ),
        ("xn--bcher-kva.example", ["https://bücher.example", "https://XN--BCHER-KVA.example../"]),
        (
            "8.8.8.8",
            [
                *("https://8.8.8.8", "https://8.8.8.8.", "https://134744072", "https://0x8.8.2056"),
                *("https://[::ffff:8.8.8.8]", "https://[0:0:0:0:0:ffff:808:808]"),
                *("https://[64:ff9b::808:808]", "https://[2002:808:808::]"),
            ],
        ),
        (
            "2606:4700::1111",
            [
                *("https://[2606:4700::1111]/", "https://[2606:4700:0:0:0:0:0:1111]:443"),
                "https://[2606:4700:0000::1111]",
            ],
        ),
        ("::1", ["http://[::1]:9000/", "http://[0:0:0:0:0:0:0:1]/"]),
    ],
)
def test_a_host_has_one_bound_however_it_is_spelt(host: str, urls: list[str]) -> None:
    assert {host_of(url) for url in urls} == {host}
