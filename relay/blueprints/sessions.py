"""Sessions: one a device, opened by a one-time link, ended one by one or all others at once."""

from typing import Annotated

import msgspec
import structlog
import trio
from msgspec import Meta
from quart import Blueprint

from relay.auth.credentials import Credential
from relay.auth.tokens import Kind
from relay.db.pool import DATABASE_ERRORS
from relay.db.users import end_other_sessions, end_session
from relay.errors import (
    ClockBehind,
    DatabaseAway,
    InvalidToken,
    SessionEnded,
    SessionRequired,
    Unauthorized,
)
from relay.media_types import JSON
from relay.schema_types import Examples
from relay.services import Services
from relay.web.answers import Answer, json_answer
from relay.web.auth import credential_if_given
from relay.web.cookies import delete_cookie, keeps_cookies, set_cookie
from relay.web.json import read_json
from relay.web.needs import NOTHING, SESSION
from relay.web.openapi.describe import Text, described
from relay.web.qr_code import qr_image
from relay.web.rate_limits import SIGNUPS, TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.sessions import (
    LINK_SECONDS,
    AlreadySignedIn,
    KnownSession,
    LinkGone,
    NewSession,
    TooManySessions,
    known_session,
    link_user,
    make_link,
    open_link,
)

sessions = Blueprint("sessions", __name__)

log = structlog.get_logger("relay.sessions")


class NewLink(msgspec.Struct):
    """A link that signs in another device, once. `qr` is its QR code as a data URI."""

    link: str
    expires_in: int
    qr: str


class LinkToOpen(msgspec.Struct, forbid_unknown_fields=True):
    """`code`: the link's part after `#link=`. `replace`: end a session of another user."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    replace: bool = False


class Ended(msgspec.Struct):
    """How many sessions were ended."""

    ended: int


@sessions.post("/api/session/link")
@described(
    "users",
    answers={
        201: NewLink(
            f"https://relay.example/#link={Examples.LINK}",
            expires_in=LINK_SECONDS,
            qr="data:image/svg+xml;charset=utf-8,%3Csvg…",
        )
    },
    refuses=(TooManySessions,),
)
@limited(TOKENS)
@needs(SESSION)
async def create_link(request: HTTPRequest) -> Answer:
    """Make a one-time link for another device.

    It replaces the session's previous link.
    """
    link = await make_link(request.services, request.credential)
    picture = await trio.to_thread.run_sync(qr_image, link)  # takes milliseconds
    return json_answer(NewLink(link, LINK_SECONDS, picture), 201)


@sessions.post("/api/session/link/redeem")
@described(
    "users",
    security=("", "session", "cookie"),
    body={JSON: LinkToOpen(Examples.LINK)},
    answers={
        201: NewSession(Examples.USER, Examples.SESSION, Examples.LATER),
        200: KnownSession(Examples.USER, Examples.LATER),
    },
    headers={201: ("Set-Cookie",)},
    refuses=(
        *(Unauthorized, InvalidToken, SessionRequired, AlreadySignedIn, LinkGone),
        *(ClockBehind, DatabaseAway),
    ),
)
@limited(SIGNUPS)
@needs(NOTHING)
async def redeem_link(request: HTTPRequest) -> Answer:
    """Redeem a link for a new session of its user.

    A session of the same user that is sent along is kept as it is, and the link is not spent.
    """
    credential = await credential_if_given(request)
    wanted = await read_json(request, LinkToOpen)
    user_id = await link_user(request.services, wanted.code)
    if credential is not None:
        if credential.kind is not Kind.SESSION:
            raise SessionRequired()
        if credential.user_id == user_id:
            return json_answer(known_session(credential))
        if not wanted.replace:
            raise AlreadySignedIn()
    made = await open_link(request.services, wanted.code, user_id)
    if credential is not None:
        try:
            await _end(request.services, credential)
        except DATABASE_ERRORS as error:  # the link is spent: only this answer has its session
            log.warning("replaced_session_stays", error=type(error).__name__)
    return json_answer(made, 201, set_cookie(request, made.session_token))


@sessions.delete("/api/session")
@described("users", answers={204: Text("The session has ended.")}, headers={204: ("Set-Cookie",)})
@limited(TOKENS)
@needs(SESSION)
async def delete_session(request: HTTPRequest) -> Answer:
    """Log out: end the session and all its streams."""
    await _end(request.services, request.credential)
    headers = [delete_cookie(request)] if keeps_cookies(request) else []
    return Answer(204, headers, b"")


@sessions.delete("/api/session/others")
@described("users", answers={200: Ended(1)})
@limited(TOKENS)
@needs(SESSION)
async def delete_other_sessions(request: HTTPRequest) -> Answer:
    """End all other sessions of this user, with their streams and links."""
    services, credential = request.services, request.credential
    ended = await end_other_sessions(services.database, credential.id, credential.user_id)
    if ended is None:
        raise SessionEnded()
    for session_id in ended:
        services.credentials.end_everywhere(session_id)
    return json_answer(Ended(len(ended)))


async def _end(services: Services, credential: Credential) -> None:
    await end_session(services.database, credential.id, credential.user_id)
    services.credentials.end_everywhere(credential.id)
