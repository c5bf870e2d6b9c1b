"""The address of a mail server, and the sender; refusals show no secret."""

from pathlib import Path

import pytest

from relay.config.settings import SettingError, Settings
from relay.config.smtp_address import (
    Sender,
    SmtpAddress,
    is_mail_address,
    mail_sender,
    mailbox_of,
    smtp_address,
)
from tests.support.certificates import self_signed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("smtp://mail.example.com", SmtpAddress("mail.example.com", 587, "starttls")),
        (" smtps://mail.example.com/ ", SmtpAddress("mail.example.com", 465, "implicit")),
        ("smtp://10.0.0.2:25?starttls=off", SmtpAddress("10.0.0.2", 25, "none")),
        ("smtp://127.0.0.1:25", SmtpAddress("127.0.0.1", 25, "none")),
        ("smtp://localhost:25?starttls=on", SmtpAddress("localhost", 25, "starttls")),
        ("smtp://[::1]:25", SmtpAddress("::1", 25, "none")),
        (
            "smtps://ada%40example.com:se%3Acret%2F%40@mail.example.com:2465",
            SmtpAddress("mail.example.com", 2465, "implicit", "ada@example.com", "se:cret/@"),
        ),
    ],
)
def test_addresses_are_read(text: str, address: SmtpAddress) -> None:
    assert smtp_address(text) == address
    assert "se:cret" not in repr(address)


def test_a_file_of_certificates_is_trusted_instead(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    found = smtp_address(f"smtp://127.0.0.1?ca_file={files['certfile']}")
    assert (found.tls, found.ca_file) == ("starttls", Path(files["certfile"]))
    for text in (
        f"smtp://127.0.0.1?starttls=off&ca_file={files['certfile']}",
        f"smtp://127.0.0.1?ca_file={tmp_path / 'other'}",
        f"smtps://127.0.0.1?ca_file={files['keyfile']}",
    ):
        with pytest.raises(ValueError, match=r"ca_file|certificates"):
            smtp_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.com:587",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:65536",
        "smtp://hidden-word@mail.example.com",
        "smtp://ada:hidden-word@@mail.example.com",
        "smtp://ada:hidden-word@mail.example.com?starttls=off",
        "smtp://mail.example.com?starttls=maybe",
        "smtps://mail.example.com?starttls=on",
        "smtp://mail.example.com?password=hidden-word",
        "smtp://mail.example.com/inbox",
    ],
)
def test_other_addresses_are_refused_without_their_secret(text: str) -> None:
    with pytest.raises(SettingError, match="RELAY_SMTP_URL") as refusal:
        Settings.load({"RELAY_SMTP_URL": text, "RELAY_SMTP_FROM": "relay@example.com"})
    assert "hidden" not in str(refusal.value)


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
