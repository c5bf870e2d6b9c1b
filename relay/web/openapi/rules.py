"""What a call accepts and refuses: by its route's declaration, its credential and its body."""

from collections.abc import Callable
from typing import Any, NamedTuple

from relay.errors import (
    BadRequest,
    ForeignOrigin,
    Internal,
    Invalid,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
)
from relay.server.refusals import (
    HeadersTooLarge,
    NotImplementedHere,
    UriTooLong,
    VersionNotSupported,
)
from relay.web.needs import Need
from relay.web.openapi.describe import Description

SECURITY = {
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A person's session token, from `POST /api/user`.",
    },
    "hook": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A producer's hook token, from `POST /api/token`.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "relay_session",
        "description": (
            "The session of Relay's own page; `__Host-relay_session` on https. It counts on GET"
            " with `Sec-Fetch-Site: same-origin` or the own Origin, elsewhere with the own Origin."
        ),
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "Single use, 30 seconds, from `POST /api/rt/ticket`.",
    },
    "metrics": {
        "type": "http",
        "scheme": "bearer",
        "description": "`RELAY_METRICS_TOKEN`. Without that setting: only from loopback.",
    },
}


BODY_REFUSES = (BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, Invalid)

# what the server itself may say to any request, before or after the application
ANYWHERE = (
    BadRequest,
    UriTooLong,
    HeadersTooLarge,
    Internal,
    NotImplementedHere,
    Unavailable,
    VersionNotSupported,
)


class Operation(NamedTuple):
    """One call: where, how, and what its route declared."""

    method: str
    path: str
    handler: Callable[..., Any]

    @property
    def described(self) -> Description:
        description: Description = self.handler.described  # type: ignore[attr-defined]
        return description

    @property
    def need(self) -> Need:
        need: Need = self.handler.need  # type: ignore[attr-defined]
        return need

    @property
    def accepts(self) -> tuple[str, ...]:
        own = self.described.needs
        return self.need.accepts if own is None else own

    @property
    def limited(self) -> tuple[type[Problem], ...]:
        """What its rate limit refuses, if it has one."""
        refuses: tuple[type[Problem], ...] = getattr(self.handler, "limit_refuses", ())
        return refuses

    @property
    def refuses(self) -> list[type[Problem]]:
        """Every problem it may answer, each code once, by status."""
        acting = (ForeignOrigin,) if self.method not in ("GET", "HEAD") else ()
        body = BODY_REFUSES if self.described.body else ()
        all_of_them = (
            *self.need.refuses,
            *acting,
            *body,
            *self.limited,
            *self.described.refuses,
            *ANYWHERE,
        )
        return sorted({kind.code: kind for kind in all_of_them}.values(), key=_by_status)


def _by_status(kind: type[Problem]) -> tuple[int, str]:
    return kind.status, kind.code
