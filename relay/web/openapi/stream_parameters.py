"""The parameters that choose where a stream starts, for the documents; resume.py parses them."""

from typing import Annotated, Literal

from msgspec import Meta

from relay.realtime.resume import MAX_LAST
from relay.schema_types import CURSOR_PATTERN, Examples
from relay.web.openapi.describe import Parameter

AfterCursor = Annotated[str, Meta(extra_json_schema={"pattern": f"^(oldest|{CURSOR_PATTERN})$"})]
KnownCursor = Annotated[str, Meta(extra_json_schema={"pattern": f"^{CURSOR_PATTERN}$"})]
HeaderCursor = Annotated[str, Meta(extra_json_schema={"pattern": f"^({CURSOR_PATTERN})?$"})]
Last = Annotated[int, Meta(ge=1, le=MAX_LAST)]

AFTER = Parameter("after", AfterCursor, "A cursor, or `oldest`.", Examples.CURSOR)
LAST = Parameter(
    "last", Last, "Start with this many of the newest events; not together with `after`."
)
LAST_EVENT_ID = Parameter(
    "lastEventId",
    KnownCursor,
    "A cursor; takes precedence over `after` and `last`.",
    Examples.CURSOR,
)
LAST_EVENT_ID_HEADER = Parameter(
    "Last-Event-ID",
    HeaderCursor,
    "A cursor, as EventSource sends it; takes precedence over all others. Empty: not given.",
    Examples.CURSOR,
    "header",
)

TASKS = Parameter(
    "tasks",
    Literal["1"],
    "The stream has the user's tasks, too: a snapshot, then what changes.",
    "1",
)

WHERE_TO_START = (AFTER, LAST, LAST_EVENT_ID)
