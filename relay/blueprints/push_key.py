"""The key with which a browser subscribes to this Relay's notifications."""

from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.errors import PushKeysSealed
from relay.web.answers import Answer, json_answer
from relay.web.needs import SESSION
from relay.web.openapi.describe import described
from relay.web.rate_limits import READS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

push_key = Blueprint("push_key", __name__)


class PushKey(msgspec.Struct):
    """The VAPID key of this Relay (RFC 8292)."""

    public_key: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{87}$",
            description="In base64url: the `applicationServerKey` of `pushManager.subscribe`.",
        ),
    ]


@push_key.get("/api/channels/webpush/key")
@described(
    "channels",
    answers={
        200: PushKey(
            "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQt"
            "UbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM"
        )
    },
    refuses=(PushKeysSealed,),
)
@limited(READS)
@needs(SESSION)
async def read_push_key(request: HTTPRequest) -> Answer:
    """Get the key for a browser's subscription. It is made with the first one, and stays."""
    keys = await request.services.channels.context.vapid.present()
    return json_answer(PushKey(keys.public_key))
