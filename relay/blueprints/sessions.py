"""Sessions: one a device, opened by a one-time link of another, ended each by itself."""

from typing import Annotated

import msgspec
import trio
from msgspec import Meta
from quart import Blueprint, Response, request

from relay.auth.credentials import Credential
from relay.auth.tokens import Kind
from relay.db.users import end_other_sessions, end_session
from relay.errors import DatabaseAway, InvalidToken, SessionRequired, Unauthorized
from relay.media_types import JSON
from relay.schema_types import Somebody
from relay.web.auth import authenticate_if_given, needs_nothing, needs_session
from relay.web.context import services
from relay.web.cookies import delete_cookie, keeps_cookies, set_cookie
from relay.web.json import answer, read_body
from relay.web.openapi.describe import Text, described
from relay.web.qr_code import qr_image
from relay.web.rate_limits import SIGNUPS, TOKENS, limited
from relay.web.sessions import (
    LINK_SECONDS,
    AlreadySomebody,
    KnownSession,
    LinkGone,
    NewSession,
    TooManySessions,
    known,
    make_link,
    open_link,
    whose_link,
)

sessions = Blueprint("sessions", __name__)


class NewLink(msgspec.Struct):
    """A link that opens this user on another device, once. `qr` is an image of it, as a URL."""

    link: str
    expires_in: int
    qr: str


class LinkToOpen(msgspec.Struct, forbid_unknown_fields=True):
    """What stands in the link after `#link=`; `replace` to stop being who the session says."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    replace: bool = False


class Ended(msgspec.Struct):
    """How many sessions ended."""

    ended: int


@sessions.post("/api/session/link")
@described(
    "users",
    answers={
        201: NewLink(
            f"https://relay.example/#link={Somebody.LINK}",
            expires_in=LINK_SECONDS,
            qr="data:image/svg+xml;charset=utf-8,%3Csvg…",
        )
    },
    refuses=(TooManySessions,),
)
@limited(TOKENS)
@needs_session
async def create_link(credential: Credential) -> Response:
    """Make a one-time link for a second device; it replaces the session's last one."""
    link = await make_link(credential)
    picture = await trio.to_thread.run_sync(qr_image, link)  # milliseconds that streams go on
    return answer(NewLink(link, LINK_SECONDS, picture), 201)


@sessions.post("/api/session/link/redeem")
@described(
    "users",
    needs=("", "session", "cookie"),
    body={JSON: LinkToOpen(Somebody.LINK)},
    answers={
        201: NewSession(Somebody.USER, Somebody.SESSION, Somebody.LATER),
        200: KnownSession(Somebody.USER, Somebody.LATER),
    },
    headers={201: ("Set-Cookie",)},
    refuses=(
        *(Unauthorized, InvalidToken, SessionRequired, AlreadySomebody, LinkGone, DatabaseAway),
    ),
)
@limited(SIGNUPS)
@needs_nothing
async def redeem_link() -> Response:
    """Open a link: become its user, with a session of one's own. Who is that user stays so."""
    credential = await authenticate_if_given(request)
    wanted = await read_body(LinkToOpen)
    user_id = await whose_link(wanted.code)
    if credential is not None:
        if credential.kind is not Kind.SESSION:
            raise SessionRequired()
        if credential.user_id == user_id:
            return known(credential)
        if not wanted.replace:
            raise AlreadySomebody()
    made = await open_link(wanted.code, user_id)
    if credential is not None:
        await _end(credential)
    response = answer(made, 201)
    set_cookie(response, made.session_token)
    return response


@sessions.delete("/api/session")
@described("users", answers={204: Text("The session is over.")}, headers={204: ("Set-Cookie",)})
@limited(TOKENS)
@needs_session
async def delete_session(credential: Credential) -> Response:
    """Log out: the session and every stream it opened end."""
    await _end(credential)
    response = Response(b"", 204)
    if keeps_cookies():
        delete_cookie(response)
    return response


@sessions.delete("/api/session/others")
@described("users", answers={200: Ended(1)})
@limited(TOKENS)
@needs_session
async def delete_other_sessions(credential: Credential) -> Response:
    """End every session of this user but this one, with their streams and links."""
    now = services()
    ended = await end_other_sessions(now.database, credential.id, credential.user_id)
    for session_id in ended:
        now.access.revoked(session_id)
    return answer(Ended(len(ended)))


async def _end(credential: Credential) -> None:
    now = services()
    await end_session(now.database, credential.id, credential.user_id)
    now.access.revoked(credential.id)
