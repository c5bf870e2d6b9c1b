"""A page says that it is being looked at: channels stay silent meanwhile, if their rules say so."""

from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.db.channels import set_visible
from relay.media_types import JSON
from relay.web.answers import Answer
from relay.web.json import read_json
from relay.web.needs import SESSION
from relay.web.openapi.describe import Text, described
from relay.web.rate_limits import CLIENT_PACED_READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

visible = Blueprint("visible", __name__)

MAX_SECONDS = 60


class Visibility(msgspec.Struct, forbid_unknown_fields=True):
    """A page of the user is looked at, for the next `for_s` seconds; or it no longer is."""

    visible: bool
    for_s: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] = MAX_SECONDS


@visible.post("/api/visible")
@described(
    "channels",
    body={JSON: Visibility(visible=True, for_s=30)},
    answers={204: Text("It is noted.")},
)
@limited(CLIENT_PACED_READS)
@needs(SESSION)
async def note_visible(request: HTTPRequest) -> Answer:
    """Say that a page of the user is being looked at. A page says so again before the time is over.

    `visible: false` ends it at once; another page that is looked at says so again.
    """
    noted = await read_json(request, Visibility)
    await set_visible(
        request.services.database, request.credential.user_id, noted.for_s if noted.visible else 0
    )
    return Answer(204, [], b"")
