"""The settings of mail; `settings.py` has the others."""

from dataclasses import dataclass

from relay.config.mail_address import Sender, is_mail_address, mail_sender
from relay.config.parsers import SettingError
from relay.config.parsers import setting as _setting
from relay.config.rate_settings import RateSettings
from relay.config.smtp_address import SmtpAddress, smtp_address


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings(RateSettings):
    """Through which server channels of the kind `email` send, and from which address."""

    smtp_url: SmtpAddress | None = _setting(
        "RELAY_SMTP_URL", smtp_address, None, "address",
        "the mail server of channels of the kind `email`; without it none can be added",
        shown="none", secret=True,
    )  # fmt: skip
    smtp_from: Sender | None = _setting(
        "RELAY_SMTP_FROM", mail_sender, None, "mail address",
        "the sender of mails, which the mail server must accept", shown="RELAY_SMTP_URL's user",
    )  # fmt: skip

    @property
    def sender(self) -> Sender:
        """The sender of mails: RELAY_SMTP_FROM, else the user at the mail server."""
        return self.smtp_from or Sender((self.smtp_url and self.smtp_url.user) or "")

    def _check_mail(self) -> None:
        """Raise SettingError if one of them lacks the other."""
        if self.smtp_from and not self.smtp_url:
            raise SettingError(
                "RELAY_SMTP_URL is missing: RELAY_SMTP_FROM is the sender of mails through it"
            )
        if self.smtp_url and not is_mail_address(self.sender.address):
            raise SettingError(
                "RELAY_SMTP_FROM is missing: mails need a sender, like Relay <relay@example.com>"
            )
