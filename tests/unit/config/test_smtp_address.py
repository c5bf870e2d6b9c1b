"""The address of a mail server; refusals show no secret."""

from pathlib import Path

import pytest

from relay.config.settings import SettingError, Settings
from relay.config.smtp_address import SmtpAddress, smtp_address
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
