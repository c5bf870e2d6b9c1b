"""The mails that Relay sends: notifications, and codes that prove whose an address is.

Plain text alone. A subject is one line without control characters, so it cannot begin another
header; `EmailMessage` refuses line ends there, too.
"""

from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from relay.channels.notification import Notification
from relay.channels.wording import words
from relay.config.mail_address import Sender
from relay.events import utc_now


class _Policy(EmailPolicy):
    """Writes a subject, or a sender's name, with other letters than ASCII's as encoded words alone.

    `EmailPolicy` encodes only the words that need it. Before Python 3.13 it then loses blanks
    between two of them, because readers drop what stands between encoded words (RFC 2047).
    """

    def fold(self, name: str, value: Any) -> str:
        """The header with its line ends."""
        if name == "Subject" and not value.isascii():
            return f"{name}: {self._encoded(name, value)}{self.linesep}"
        if name == "From" and not value.isascii():
            (sender,) = value.addresses
            words = self._encoded(name, sender.display_name)
            return f"{name}: {words}{self.linesep} <{sender.addr_spec}>{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def _encoded(self, name: str, text: str) -> str:
        return Header(str(text), "utf-8", header_name=name).encode(linesep=self.linesep)

    def fold_binary(self, name: str, value: Any) -> bytes:
        """The same in bytes."""
        return self.fold(name, value).encode("ascii")


_POLICY = _Policy(linesep="\r\n", cte_type="7bit")  # so that no mail server has to take 8 bits


def notification_mail(
    notification: Notification, sender: Sender, recipient: str, base_url: str
) -> EmailMessage:
    """The mail of a notification. A second one of the same has the same Message-ID."""
    text = words(notification)
    parts = (
        f"{text.headline} {text.facts}".rstrip(),
        text.body,
        text.options,
        f"{text.action}: {notification.url}",
        "-- \n"
        f"{recipient} was entered at {base_url} with a code that was sent to it. To end these"
        ' mails, open that page, press "Channels", and remove the address.',
    )
    mail = _mail(sender, recipient, text.headline, "\n\n".join(filter(None, parts)))
    mail["Message-ID"] = f"<{notification.id}@{sender.domain}>"
    return mail


def code_mail(
    code: str, minutes: int, sender: Sender, recipient: str, base_url: str
) -> EmailMessage:
    """The mail with a code. It holds nothing that a user has written."""
    host = urlsplit(base_url).netloc
    text = (
        f"Your code is {code}. It is valid for {minutes} minutes.\n\n"
        f"It was asked for at {base_url}, to send notifications to this address. If you did not"
        " ask for it, ignore this mail: without the code, nothing is sent to you."
    )
    return _mail(sender, recipient, f"{code} is your code for Relay at {host}", text)


def _mail(sender: Sender, recipient: str, subject: str, text: str) -> EmailMessage:
    mail = EmailMessage(_POLICY)
    mail["From"] = Address(sender.name, addr_spec=sender.address)
    mail["To"] = Address(addr_spec=recipient)
    # no encoded word (RFC 2047) of a user is decoded
    mail["Subject"] = subject.replace("=?", "= ?")
    mail["Date"] = format_datetime(utc_now())
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
    mail.set_content(f"{text}\n")
    return mail
