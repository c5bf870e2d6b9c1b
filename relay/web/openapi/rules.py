"""The credentials that a call accepts and the problems that it may answer, for the documents."""

from collections.abc import Callable
from typing import Any, NamedTuple

from relay.auth.webhook_signatures import BadSignature
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
from relay.web.openapi.describe import Description, Parameter

SECURITY = {
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A user's session token, from `POST /api/user`.",
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
            "The session of Relay's own page; `__Host-relay_session` on https. Accepted only with"
            " Relay's own Origin, or on GET and HEAD with `Sec-Fetch-Site: same-origin`."
        ),
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "Valid once, for 30 seconds, from `POST /api/rt/ticket`.",
    },
    "metrics": {
        "type": "http",
        "scheme": "bearer",
        "description": "`RELAY_METRICS_TOKEN`. Without that setting, only from loopback.",
    },
}


BODY_PROBLEMS = (BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, Invalid)

# problems that any call may answer, mostly from the server
COMMON_PROBLEMS = (
    BadRequest,
    UriTooLong,
    HeadersTooLarge,
    Internal,
    NotImplementedHere,
    Unavailable,
    VersionNotSupported,
)


# the headers of a signed request: of each call that may refuse a signature
SIGNATURE = (
    Parameter("webhook-id", str, "Of a signed request: its id.", "build-17", "header"),
    Parameter("webhook-timestamp", str, "Seconds since 1970.", "1769860800", "header"),
    Parameter("webhook-signature", str, "`v1,` and the signature.", "v1,c2lnbmVk", "header"),
)


class Operation(NamedTuple):
    """One call, and what its route declares."""

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
        own = self.described.security
        return self.need.accepts if own is None else own

    @property
    def limited(self) -> tuple[type[Problem], ...]:
        """The problems of its rate limit, if it has one."""
        refuses: tuple[type[Problem], ...] = getattr(self.handler, "limit_refuses", ())
        return refuses

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (*self.described.parameters, *(SIGNATURE if BadSignature in self.refuses else ()))

    @property
    def refuses(self) -> list[type[Problem]]:
        """All problems it may answer, each code once, by status."""
        origin = (ForeignOrigin,) if self.method not in ("GET", "HEAD") else ()
        body = BODY_PROBLEMS if self.described.body else ()
        problems = (
            *self.need.refuses,
            *origin,
            *body,
            *self.limited,
            *self.described.refuses,
            *COMMON_PROBLEMS,
        )
        return sorted({kind.code: kind for kind in problems}.values(), key=_by_status)


def _by_status(kind: type[Problem]) -> tuple[int, str]:
    return kind.status, kind.code
