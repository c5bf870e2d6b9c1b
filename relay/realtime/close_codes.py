"""The reasons why a stream ends: one table for the code, the metrics, the clients and the docs."""

from enum import Enum

from relay.errors import (
    Forbidden,
    Problem,
    ProcessFull,
    RateLimited,
    TooManyConnections,
    Unauthorized,
    Unavailable,
)


class Close(Enum):
    """A reason to end a stream: its WebSocket close code, its name, and when to reconnect.

    `retry_after_ms` is sent in the `close` message; None tells the client not to reconnect with
    the same credential and parameters.
    Codes 4400 and up are Relay's own (RFC 6455, section 7.4.2).
    """

    GONE = (1006, "gone", 0)  # never sent: the client disconnected without a close frame
    RESTART = (1012, "restart", 250)
    MAX_AGE = (1012, "max_age", 0)
    MESSAGE_TOO_BIG = (1009, "message_too_big", 1000)
    INTERNAL = (1011, "internal_error", 2000)
    BLIND = (1013, "blind", 1000)  # this process cannot learn of revocations: another one may
    EXPIRED = (4401, "expired", None)
    REVOKED = (4401, "revoked", None)
    UNAUTHORIZED = (4401, "unauthorized", None)
    FORBIDDEN = (4403, "forbidden", None)
    IDLE = (4408, "idle", 0)
    STALLED = (4410, "stalled", 0)
    TOO_MANY_CONNECTIONS = (4429, "too_many_connections", 10_000)
    RATE_LIMITED = (4429, "rate_limited", 10_000)
    TOO_MANY_MESSAGES = (4429, "too_many_messages", 10_000)

    def __init__(self, code: int, reason: str, retry_after_ms: int | None) -> None:
        self.code = code
        self.reason = reason
        self.retry_after_ms = retry_after_ms


_REFUSALS: tuple[tuple[type[Problem], Close], ...] = (
    (Unauthorized, Close.UNAUTHORIZED),
    (Forbidden, Close.FORBIDDEN),
    (TooManyConnections, Close.TOO_MANY_CONNECTIONS),
    (RateLimited, Close.RATE_LIMITED),
    (ProcessFull, Close.TOO_MANY_CONNECTIONS),
    (Unavailable, Close.RESTART),
)


def close_for(problem: Problem) -> Close:
    """The close reason for a stream that is refused after its handshake.

    A problem that is not listed above maps to INTERNAL (5xx) or to FORBIDDEN, which has no
    `retry_after_ms`: the same request would be refused again.
    """
    for kind, close in _REFUSALS:
        if isinstance(problem, kind):
            return close
    return Close.INTERNAL if problem.status >= 500 else Close.FORBIDDEN
