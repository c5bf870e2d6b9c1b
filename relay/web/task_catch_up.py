"""Brings the stored tasks of a request's user up to date before they are read."""

from relay.events import Cursor
from relay.web.query import QueryParameters
from relay.web.request import HTTPRequest


async def catch_up(request: HTTPRequest) -> None:
    """Wait until the stored tasks have all events that are acknowledged, for a bounded time."""
    services, user_id = request.services, request.credential.user_id
    head = await services.heads.head(user_id)
    await services.projector.catch_up_briefly(user_id, head.last)


async def catch_up_to(request: HTTPRequest, args: QueryParameters) -> None:
    """Wait, for a bounded time, until the tasks have what is acknowledged, and `after_cursor`.

    Raises BadRequest and BadCursor.
    """
    services, user_id = request.services, request.credential.user_id
    after_cursor = args.get("after_cursor")
    asked = None if after_cursor is None else Cursor.parse(after_cursor)
    head = await services.heads.head(user_id)
    seq = head.last if asked is None or asked.epoch != head.epoch else max(asked.seq, head.last)
    await services.projector.catch_up_briefly(user_id, seq)
