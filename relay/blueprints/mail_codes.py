"""Mail a code to an address, which a person enters to be notified there."""

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from quart import Blueprint

from relay.channels.kinds.email import NO_MAIL, MailAddress
from relay.channels.mail import MailFailed
from relay.channels.mail_codes import VALID_MINUTES
from relay.channels.mail_texts import code_mail
from relay.errors import Invalid, Unavailable
from relay.media_types import JSON
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.mail_codes import charge_mail, refund_mail
from relay.web.needs import SESSION
from relay.web.openapi.describe import described
from relay.web.rate_limits import TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

mail_codes = Blueprint("mail_codes", __name__)

log = structlog.get_logger("relay.channels")


class AddressToProve(msgspec.Struct, forbid_unknown_fields=True):
    """The address that is to get notifications."""

    address: MailAddress


class CodeSent(msgspec.Struct):
    """The mail server has the mail. The code in it is valid for `expires_in` seconds or longer."""

    address: str
    expires_in: Annotated[int, Meta(ge=1)]


class NotMailed(Unavailable):
    code, title = "mail_unavailable", "The mail was not sent"
    hint = "The mail server did not take the mail. Try again."
    retry_after = 60


@mail_codes.post("/api/email-code")
@described(
    "channels",
    body={JSON: AddressToProve("ada@example.com")},
    answers={202: CodeSent("ada@example.com", VALID_MINUTES * 60)},
    refuses=(NotMailed,),
)
@limited(TOKENS)
@needs(SESSION)
async def mail_code(request: HTTPRequest) -> Answer:
    """Mail a code to an address. The channel is added with it, by a person that can read it."""
    wanted = await read_json(request, AddressToProve)
    context = request.services.channels.context
    if context.mailer is None:
        raise Invalid.of("address", NO_MAIL)
    await charge_mail(request, wanted.address)
    code = request.services.mail_codes.make(request.credential.user_id, wanted.address)
    mail = code_mail(code, VALID_MINUTES, context.mailer.sender, wanted.address, context.base_url)
    try:
        await context.mailer.send(mail, wanted.address)
    except MailFailed as failure:
        if failure.permanent:
            raise Invalid.of("address", f"gets no mail: {failure}") from None
        log.warning("mail_failed", error=str(failure))
        if not failure.may_be_taken:
            await refund_mail(request, wanted.address)
        raise NotMailed(f"The code was not sent: {failure}.") from None
    return json_answer(CodeSent(wanted.address, VALID_MINUTES * 60), 202)
