"""The addresses of mails: the sender of a server's, and those of users."""

import pytest

from relay.config.mail_address import Sender, is_mail_address, mail_sender, mailbox_of
from relay.config.settings import SettingError, Settings


def test_the_sender_is_named_or_the_user_of_the_server() -> None:
    url = "smtp://relay%40example.com:pw@mail.example.com"
    assert Settings.load({"RELAY_SMTP_URL": url}).sender == Sender("relay@example.com")
    given = {"RELAY_SMTP_URL": url, "RELAY_SMTP_FROM": "Relay at home <watch@example.com>"}
    assert Settings.load(given).sender == Sender("watch@example.com", "Relay at home")
    assert Sender("watch@example.com").domain == "example.com"
    with pytest.raises(SettingError, match=r"^RELAY_SMTP_FROM is missing"):
        Settings.load({"RELAY_SMTP_URL": "smtp://ada:pw@mail.example.com"})
    with pytest.raises(SettingError, match=r"^RELAY_SMTP_URL is missing"):
        Settings.load({"RELAY_SMTP_FROM": "watch@example.com"})
    for text in ("watch", "a@b@c", "a@example.com, b@example.com", "A\r\nBcc: x <a@example.com>"):
        with pytest.raises(ValueError, match="must be an address"):
            mail_sender(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("ada@example.com", True),
        ("ada+relay@mail.example.com", True),
        ("ada@localhost", True),
        ("ada", False),
        ("@example.com", False),
        ("ada@", False),
        ("ada@example..com", False),
        ("ada@-example.com", False),
        ("ada@example.com\n", False),
        ("ada@example.com\r\nBcc: bob@example.com", False),
        ("ada@example.com,bob@example.com", False),
        ("<ada@example.com>", False),
        ('"ada lovelace"@example.com', False),
        ("ada@exämple.com", False),
        (f"{'a' * 65}@example.com", False),
        (f"ada@{'a.' * 130}com", False),
    ],
)
def test_a_mail_address_is_one_address_and_nothing_else(text: str, is_one: bool) -> None:
    assert is_mail_address(text) is is_one


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+lists@example.com", "ada@example.com"),
        ("ada+a+b@example.com", "ada@example.com"),
        ("a.da@example.com", "a.da@example.com"),  # a dot is one's own, but for a few servers
        ("+ada@example.com", "+ada@example.com"),  # nothing stands before it
        ("++ada@example.com", "+@example.com"),
    ],
)
def test_a_mailbox_is_counted_as_one_however_it_is_written(address: str, mailbox: str) -> None:
    assert mailbox_of(address) == mailbox
