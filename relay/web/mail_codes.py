"""Mail codes of a request: whether one may be mailed, and whether a code is the right one."""

from relay.channels.kinds.base import ChannelRequest
from relay.channels.kinds.email import EmailRequest
from relay.config.mail_address import mailbox_of
from relay.db.mail_codes import take_mail_code, uncount_mail_code
from relay.db.receivers import interval_of
from relay.errors import Invalid
from relay.shared_limits import Charge
from relay.web.rate_limits import (
    charge_mail_code,
    charge_mail_code_try,
    over_limit,
    refund_mail_code,
)
from relay.web.request import HTTPRequest

WRONG_CODE = "is not the code of this address, or has expired: ask for a new one"


async def charge_mail(request: HTTPRequest, address: str) -> None:
    """Charge a mail with a code to its client, its user, its mailbox and all mails together.

    All together comes last: what is over another rate takes nothing from it. Where that one is used
    up, the others get back what was charged. Raises RateLimited.
    """
    mailbox = mailbox_of(address)
    await charge_mail_code(request, mailbox)
    settings = request.services.settings
    if not settings.rate_limits:
        return
    rate = settings.rate_all_mail_codes
    interval = interval_of(settings, rate)
    if wait := await take_mail_code(request.services.database, interval, rate.burst):
        await refund_mail_code(request, mailbox)
        charge = Charge("mail_codes_all", "", rate, 1, "mailed codes of all users")
        raise over_limit(request, charge, wait)


async def refund_mail(request: HTTPRequest, address: str) -> None:
    """Give back what `charge_mail` has charged for a mail that the mail server has not taken.

    The client stays charged for the try.
    """
    await refund_mail_code(request, mailbox_of(address), tried=True)
    settings = request.services.settings
    if settings.rate_limits:
        interval = interval_of(settings, settings.rate_all_mail_codes)
        await uncount_mail_code(request.services.database, interval)


async def check_mail_code(request: HTTPRequest, wanted: ChannelRequest) -> None:
    """Check, of a mail address, that the user has read the mail that was sent there.

    Raises Invalid for a wrong code, RateLimited after too many.
    """
    if not isinstance(wanted, EmailRequest) or not _has_mail(request):
        return  # without mail, the kind refuses it
    await charge_mail_code_try(request, mailbox_of(wanted.address))
    user_id = request.credential.user_id
    if not request.services.mail_codes.check(user_id, wanted.address, wanted.code):
        raise Invalid.of("code", WRONG_CODE)


def _has_mail(request: HTTPRequest) -> bool:
    return request.services.channels.context.mailer is not None
