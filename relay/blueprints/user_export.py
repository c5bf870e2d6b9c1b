"""Everything that is stored of a user, as a file: one JSON object a line."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from quart import Blueprint

from relay.auth.credentials import Credential
from relay.db.export import TABLES, ExportedTable, note_export, page_rows, select_rows
from relay.db.pool import Row
from relay.errors import DatabaseAway, ProcessFull, TooManyConnections
from relay.events import Cursor, StreamHead, rfc3339
from relay.media_types import NDJSON
from relay.schema_types import Examples
from relay.services import Services
from relay.web.answers import Answer
from relay.web.download import send_download
from relay.web.needs import SESSION
from relay.web.openapi.describe import Text, described
from relay.web.places import hold_places
from relay.web.rate_limits import EXPORTS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.task_catch_up import catch_up

user_export = Blueprint("user_export", __name__)

VERSION = 1  # of the lines' form

_JSON_TEXTS = frozenset({"details", "metrics", "shown"})  # columns that store JSON as text
_KINDS = [*(table.kind for table in TABLES), "event"]
_EXAMPLE = f"""\
{{"type":"export","version":1,"user_id":"{Examples.USER}","exported_at":"{Examples.NOW}",\
"cursor":"{Examples.CURSOR}","kinds":{msgspec.json.encode(_KINDS).decode()}}}
{{"type":"user","user_id":"{Examples.USER}","created_at":"{Examples.NOW}"}}
{{"type":"end","complete":true,"counts":{{"user":1}}}}
"""


@user_export.get("/api/export")
@described(
    "users",
    answers={200: Text("The export.", (NDJSON,), _EXAMPLE)},
    refuses=(TooManyConnections, ProcessFull, DatabaseAway),
)
@limited(EXPORTS)
@needs(SESSION)
async def export_user(request: HTTPRequest) -> Answer | None:
    """Download everything that is stored of the user, but for secrets.

    The first line says which kinds of lines follow, the last one that the export is complete.
    """
    services, credential = request.services, request.credential
    async with hold_places(request, services.exports, credential.user_id):
        with services.exports.place(credential.user_id, request.address_block):
            await catch_up(request)
            head = await services.heads.head(credential.user_id)
            return await send_download(
                request,
                _lines(services, credential, head),
                media_type=NDJSON,
                name=f"relay-{credential.user_id}.ndjson",
            )


async def _lines(
    services: Services, credential: Credential, head: StreamHead
) -> AsyncGenerator[bytes, None]:
    """The export's lines, page by page. Raises UserGone if the user is deleted meanwhile."""
    user_id = credential.user_id
    await note_export(services.database, user_id, credential.id)
    yield _line(
        {
            "type": "export",
            "version": VERSION,
            "user_id": user_id,
            "exported_at": rfc3339(services.clock.now()),
            "cursor": str(Cursor(head.epoch, head.last)),
            "kinds": _KINDS,
        }
    )
    counts = dict.fromkeys(_KINDS, 0)
    for table in TABLES:
        rows = await select_rows(services.database, table, user_id, None)
        while rows:
            counts[table.kind] += len(rows)
            yield b"".join([_row_line(table, row) for row in rows])
            if len(rows) < page_rows(table):
                break
            rows = await select_rows(services.database, table, user_id, rows[-1][table.key])
    after = head.oldest - 1
    while after < head.last:
        page = await services.publisher.journal.read(user_id, after)
        texts = page.texts[: max(0, head.last + 1 - page.first)]
        if not texts:  # the rest was trimmed meanwhile
            break
        counts["event"] += len(texts)
        yield b"".join([text + b"\n" for text in texts])
        after = page.first + len(texts) - 1
    yield _line({"type": "end", "complete": True, "counts": counts})


def _row_line(table: ExportedTable, row: Row) -> bytes:
    columns = {
        name: _json_value(name, value) for name, value in row.items() if name not in table.left_out
    }
    return _line({"type": table.kind, **columns})


def _json_value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if name in _JSON_TEXTS and value is not None:
        return msgspec.Raw(value.encode())
    return value


def _line(values: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(values) + b"\n"
