"""Email: a mail in plain text, to an address that was added with the code that was sent there."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from relay.channels.kinds.base import (
    ChannelRequest,
    Delivered,
    KindContext,
    Outcome,
    Refused,
    Retry,
)
from relay.channels.mail import MailFailed
from relay.channels.mail_texts import notification_mail
from relay.channels.notification import Notification
from relay.config.mail_address import MAIL_ADDRESS_PATTERN, MAX_MAIL_ADDRESS
from relay.errors import Invalid

MailAddress = Annotated[
    str, Meta(min_length=3, max_length=MAX_MAIL_ADDRESS, pattern=MAIL_ADDRESS_PATTERN)
]
MAX_CODE = 20  # characters: eight digits, and spaces or dashes between them
NO_MAIL = "must be another one: this Relay sends no mail, as RELAY_SMTP_URL is not set"


class EmailRequest(ChannelRequest, tag="email"):
    """`address` gets mails. `code` is the one that POST /api/email-code has sent there."""

    address: MailAddress
    code: Annotated[str, Meta(min_length=1, max_length=MAX_CODE)]


class EmailSettings(msgspec.Struct, frozen=True):
    """The address."""

    address: str


class Email:
    """Sends mails through the operator's mail server."""

    name: ClassVar[str] = "email"
    request: ClassVar[type[EmailRequest]] = EmailRequest
    settings: ClassVar[type[EmailSettings]] = EmailSettings
    example: ClassVar[ChannelRequest] = EmailRequest(address="ada@example.com", code="1234 5678")

    async def check(self, request: EmailRequest, context: KindContext) -> EmailSettings:
        if context.mailer is None:
            raise Invalid.of("kind", NO_MAIL)
        return EmailSettings(request.address)

    def shown(self, settings: EmailSettings) -> dict[str, str]:
        return {"address": settings.address}

    def host(self, settings: EmailSettings) -> None:
        return None  # the operator's mail server takes all mails, some at a time

    def issued(self, settings: EmailSettings) -> dict[str, str]:
        return {}

    async def send(
        self, settings: EmailSettings, notification: Notification, context: KindContext
    ) -> Outcome:
        mailer = context.mailer
        if mailer is None:
            return Retry("this Relay sends no mail any more")
        mail = notification_mail(notification, mailer.sender, settings.address, context.base_url)
        try:
            return Delivered(await mailer.send(mail, settings.address))
        except MailFailed as failure:
            if failure.permanent:
                return Refused(str(failure), failure.status, ends_channel=failure.unknown_recipient)
            return Retry(str(failure), failure.status)
