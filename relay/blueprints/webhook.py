"""The route that takes events, one or a batch."""

import msgspec
from quart import Blueprint

from relay.errors import DiskFull, Draining, JournalFull
from relay.ingest.envelope import Envelope
from relay.ingest.ingest import Accepted, BatchAccepted, ingest_batch, ingest_event
from relay.ingest.ndjson import count_lines
from relay.media_types import JSON, NDJSON
from relay.schema_types import Examples
from relay.web.answers import Answer, json_answer
from relay.web.auth import check_after_body
from relay.web.json import media_type
from relay.web.needs import PUBLISHER
from relay.web.openapi.describe import Link, described
from relay.web.rate_limits import charge_events, limited_by_handler
from relay.web.request import HTTPRequest
from relay.web.routes import direct, needs
from relay.web.signed_requests import check_signature

webhook = Blueprint("webhook", __name__)


_STARTED = Envelope(
    event_type="task_started",
    ts="2026-01-31T12:00:00Z",
    payload=msgspec.Raw(b'{"title":"Build 17"}'),
    event_id="build-17-start",
    task_id="build-17",
)
_DONE = Envelope(
    event_type="task_succeeded",
    ts="2026-01-31T12:01:21+00:00",
    payload=msgspec.Raw(b'{"duration_s":81.4}'),
    event_id="build-17-done",
    task_id="build-17",
)


@webhook.post("/api/webhook/cli")
@direct
@described(
    "events",
    body={JSON: _STARTED, NDJSON: (_STARTED, _DONE)},
    answers={
        200: (
            Accepted("build-17-start", 41, Examples.CURSOR, duplicate=False, watchers=1),
            BatchAccepted(
                accepted=1,
                duplicates=1,
                first_seq=42,
                last_seq=42,
                cursor=Examples.NEXT,
                watchers=1,
            ),
        )
    },
    links=(Link("list_events", parameters={"after": "cursor"}),),
    refuses=(JournalFull, DiskFull, Draining),
)
@limited_by_handler
@needs(PUBLISHER)
async def ingest(request: HTTPRequest) -> Answer:
    """Store one event (JSON), or all of a batch or none (NDJSON, one a line), then answer."""
    kind = media_type(request, JSON, NDJSON)
    body = await request.body.read()
    await check_after_body(request)
    lines = count_lines(body) if kind == NDJSON else 1
    await charge_events(request, lines)
    default_id = check_signature(request, body)
    services, user_id = request.services, request.credential.user_id
    if kind == NDJSON:
        accepted = await ingest_batch(
            services.publisher, services.watchers, user_id, body, lines, default_id
        )
        return json_answer(accepted)
    return json_answer(
        await ingest_event(services.publisher, services.watchers, user_id, body, default_id)
    )
