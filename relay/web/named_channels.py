"""The channel that a request names in its path."""

from uuid import UUID

from relay.channels.channels import NoSuchChannel
from relay.db.channels import has_channel
from relay.events import parse_uuid
from relay.schema_types import Examples, Uuid
from relay.web.openapi.describe import Parameter
from relay.web.request import HTTPRequest

CHANNEL_ID = Parameter("channel_id", Uuid, "The channel.", Examples.TOKEN_ID, "path")


async def existing_channel(request: HTTPRequest) -> UUID:
    """The channel of the path, which the user has. Raises NoSuchChannel."""
    channel_id = named_channel(request)
    user_id = request.credential.user_id
    if not await has_channel(request.services.database, user_id, channel_id):
        raise NoSuchChannel()
    return channel_id


def named_channel(request: HTTPRequest) -> UUID:
    """The id of the path. Raises NoSuchChannel for what is none."""
    channel_id = parse_uuid(request.path_args["channel_id"])
    if channel_id is None:
        raise NoSuchChannel()
    return channel_id
