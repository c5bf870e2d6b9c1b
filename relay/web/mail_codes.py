"""Mail codes of a request: whether there is mail at all, and whether a code is the right one."""

from relay.channels.kinds import KINDS
from relay.channels.kinds.base import ChannelRequest
from relay.channels.kinds.email import Email, EmailRequest
from relay.errors import FieldError, Invalid
from relay.web.rate_limits import charge_mail_code_try
from relay.web.request import HTTPRequest

WRONG_CODE = "is not the code of this address, or has expired: ask for a new one"


def addable_kinds(request: HTTPRequest) -> list[str]:
    """The kinds of channels: with `email` only if the operator has set a mail server."""
    return [name for name in KINDS if name != Email.name or _has_mail(request)]


async def check_mail_code(request: HTTPRequest, wanted: ChannelRequest) -> None:
    """Check, of a mail address, that the user has read the mail that was sent there.

    Raises Invalid for a wrong code, RateLimited after too many.
    """
    if not isinstance(wanted, EmailRequest) or not _has_mail(request):
        return  # without mail, the kind refuses it
    await charge_mail_code_try(request, wanted.address)
    user_id = request.credential.user_id
    if not request.services.mail_codes.check(user_id, wanted.address, wanted.code):
        raise Invalid(errors=[FieldError("code", WRONG_CODE)])


def _has_mail(request: HTTPRequest) -> bool:
    return request.services.channels.context.mailer is not None
