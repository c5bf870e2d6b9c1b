"""The requests that Relay gets most, answered without the framework's detours.

They are a program's POSTs, of one event or a batch: JSON or NDJSON, a bearer that memory knows,
no page and no signature. Whatever is not as plain as that, or not sure to be, goes the ordinary
way through the blueprint, which gives the same answers; a test holds the two to that.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog

from relay.auth.credentials import Access, Credential
from relay.errors import Internal, Problem
from relay.ingest.envelope import most_bytes
from relay.ingest.ingest import take_batch, take_one
from relay.ingest.ndjson import count_lines
from relay.media_types import JSON, NDJSON
from relay.observability.logs import know
from relay.services import Services
from relay.web.middleware.access_log import ROUTE, request_id
from relay.web.problem_responses import Answer, json_answer, refusal
from relay.web.rate_limits import charge_events

PATH = "/api/webhook/cli"

_RAW_PATH = PATH.encode()
_BEARER = b"Bearer "
_PLAIN_TYPES = {
    spelling.encode(): media_type
    for media_type in (JSON, NDJSON)
    for spelling in (media_type, f"{media_type}; charset=utf-8")
}
# of a page, or compressed: for others to judge
_NOT_PLAIN = frozenset({b"origin", b"content-encoding"})

log = structlog.get_logger("relay.app")


class Shortcut:
    """`also` are headers that the app adds to each of its answers."""

    def __init__(self, services: Callable[[], Services], also: list[tuple[bytes, bytes]]) -> None:
        self._services = services
        self._also = also

    async def __call__(self, scope: Any, body: bytes) -> Answer | None:
        """The answer, or None where the ordinary way must be gone; nothing is done then."""
        if scope.get("raw_path") != _RAW_PATH or scope["method"] != "POST":
            return None
        now = self._services()
        plain = _plain(scope["headers"], now.access)
        if plain is None:
            return None
        credential, kind = plain
        if len(body) > most_bytes(kind):
            return None
        scope[ROUTE] = PATH
        know(user_id=credential.user_id, token_id=credential.id)
        try:
            lines = count_lines(body) if kind == NDJSON else 1
            charge_events(now.limits, scope, credential.id, lines)
            if kind == NDJSON:
                accepted = await take_batch(
                    now.publisher, now.watchers, credential.user_id, body, lines
                )
                answer = json_answer(accepted)
            else:
                answer = json_answer(
                    await take_one(now.publisher, now.watchers, credential.user_id, body)
                )
        except Problem as problem:
            answer = await refusal(problem, request_id(scope))
        except Exception as error:  # our fault: the log has the details
            log.error("request_failed", exc_info=error)
            answer = await refusal(Internal(), request_id(scope))
        answer.headers.extend(self._also)
        return answer


def _plain(headers: list[tuple[bytes, bytes]], access: Access) -> tuple[Credential, str] | None:
    """Who sends this, and what it is, if it is plain and they may publish."""
    token = kind = None
    for name, value in headers:
        if name == b"authorization":
            if token is not None:
                return None
            token = value
        elif name == b"content-type":
            if kind is not None:
                return None
            kind = value
        elif name in _NOT_PLAIN:
            return None
    media_type = None if kind is None else _PLAIN_TYPES.get(kind)
    if media_type is None or token is None or not token.startswith(_BEARER):
        return None
    credential = access.remembered(token[len(_BEARER) :].decode("latin-1"), time.time())
    if credential is None or credential.signing_kid is not None or not credential.may_publish:
        return None
    return credential, media_type
