"""The request that Relay gets most, answered without the framework's detours.

It is one event's POST from a program: a small JSON body, a bearer that memory knows, no page and
no signature. Whatever is not as plain as that, or not sure to be, goes the ordinary way through
the blueprint, which gives the same answers; a test holds the two to that.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog

from relay.access import Access, Credential
from relay.answers import Answer, json_answer, refusal
from relay.errors import Internal, Problem
from relay.ingestion import take_one
from relay.limited import charge_events
from relay.logs import know
from relay.media_types import JSON
from relay.observed import ROUTE, request_id
from relay.services import Services

PATH = "/api/webhook/cli"

_RAW_PATH = PATH.encode()
_BEARER = b"Bearer "
_PLAIN_JSON = frozenset({JSON.encode(), f"{JSON}; charset=utf-8".encode()})
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
        credential = _plain(scope["headers"], now.access)
        if credential is None:
            return None
        scope[ROUTE] = PATH
        know(user_id=credential.user_id, token_id=credential.id)
        try:
            charge_events(now.limits, scope, credential.id, 1)
            answer = json_answer(await take_one(now, credential.user_id, body))
        except Problem as problem:
            answer = await refusal(problem, request_id(scope))
        except Exception as error:  # our fault: the log has the details
            log.error("request_failed", exc_info=error)
            answer = await refusal(Internal(), request_id(scope))
        answer.headers.extend(self._also)
        return answer


def _plain(headers: list[tuple[bytes, bytes]], access: Access) -> Credential | None:
    """Who sends this, if it is plain and may publish."""
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
    if kind not in _PLAIN_JSON or token is None or not token.startswith(_BEARER):
        return None
    credential = access.remembered(token[len(_BEARER) :].decode("latin-1"), time.time())
    if credential is None or credential.signing_kid is not None or not credential.may_publish:
        return None
    return credential
