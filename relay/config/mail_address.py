"""The addresses of mails: the sender's, and those that users name."""

import re
from dataclasses import dataclass

MAX_MAIL_ADDRESS = 254  # characters (RFC 5321, section 4.5.3.1, as erratum 1690 has it)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
MAIL_ADDRESS_PATTERN = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*$(?!\n)"
"""The mail addresses of HTML's `<input type="email">`: no quotes, no comments, ASCII."""

_MAIL_ADDRESS = re.compile(MAIL_ADDRESS_PATTERN)
_SENDER = re.compile(r'"?([^"<>\x00-\x1f\x7f-\x9f\u2028\u2029]*)"?\s*<([^<>]+)>|([^<>\s]+)')


@dataclass(frozen=True, slots=True)
class Sender:
    """The address that mails come from, with the name beside it; `""` if there is none."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the `@`."""
        return self.address.rpartition("@")[2]


def mailbox_of(address: str) -> str:
    """The mailbox of an address, for counting: `Ada+lists@Example.com` is `ada@example.com`.

    Most mail servers take what follows the first `+` for a note of the user's, and letters of both
    cases for one. A dot counts: few servers leave it out.
    """
    name, _, domain = address.lower().rpartition("@")
    return f"{name[:1]}{name[1:].partition('+')[0]}@{domain}"


def mail_sender(text: str) -> Sender:
    """Parse a sender like relay@example.com or Relay <relay@example.com>."""
    match = _SENDER.fullmatch(text.strip())
    name, address = (match[1] or "", match[2] or match[3]) if match else ("", "")
    if not is_mail_address(address):
        raise ValueError("must be an address like relay@example.com or Relay <relay@example.com>")
    return Sender(address, name.strip())


def is_mail_address(text: str) -> bool:
    """Whether this is one mail address and nothing else."""
    return len(text) <= MAX_MAIL_ADDRESS and _MAIL_ADDRESS.fullmatch(text) is not None
