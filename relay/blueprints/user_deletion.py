"""Delete a user: it ends at once, and what is stored of it is deleted right after."""

import msgspec
from quart import Blueprint

from relay.db.deleted_users import delete_user
from relay.errors import Invalid, SessionEnded
from relay.media_types import JSON
from relay.schema_types import Examples, Uuid
from relay.web.answers import Answer
from relay.web.cookies import delete_cookie, keeps_cookies
from relay.web.json import read_json
from relay.web.needs import SESSION
from relay.web.openapi.describe import Text, described
from relay.web.rate_limits import TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

user_deletion = Blueprint("user_deletion", __name__)


class UserToDelete(msgspec.Struct, forbid_unknown_fields=True):
    """`confirm`: the id of the session's user. A deletion cannot be undone."""

    confirm: Uuid


@user_deletion.delete("/api/user")
@described(
    "users",
    body={JSON: UserToDelete(Examples.USER)},
    answers={204: Text("The user is deleted.")},
    headers={204: ("Set-Cookie",)},
)
@limited(TOKENS)
@needs(SESSION)
async def end_user(request: HTTPRequest) -> Answer:
    """Delete the user: all sessions, tokens and streams end, and everything stored is deleted.

    Download an export first to keep it.
    """
    services, credential = request.services, request.credential
    wanted = await read_json(request, UserToDelete)
    if wanted.confirm != str(credential.user_id):
        raise Invalid.of("confirm", "must be the user_id of this session's user")
    ended = await delete_user(services.database, credential.user_id, credential.id)
    if ended is None:
        raise SessionEnded()
    for credential_id in ended:
        services.credentials.end_everywhere(credential_id)
    services.deletion.clear_soon()
    return Answer(204, [delete_cookie(request)] if keeps_cookies(request) else [], b"")
