"""Bounds on connections, one by one and all together."""

import msgspec


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A server's bounds, each with its unit and its reason."""

    max_connections: int = 10_256
    """Live connections: ten thousand streams, and other requests beside them."""

    send_timeout: float = 30.0
    """Seconds without progress of a write before the connection is cut. Longer than a phone needs
    to change networks."""

    close_timeout: float = 2.0
    """Seconds that closing a connection may take: the answer to a close frame, or a lingering
    close. A peer that answers needs one round trip."""

    first_request_timeout: float = 1.0
    """Seconds that a stopping server waits for the first request of a connection it has accepted.
    The client has sent it, or is about to: closing would leave it unanswered."""

    refusal_timeout: float = 1.0
    """Seconds a connection over the cap may take to read its 503."""

    max_refusals: int = 512
    """Connections over the cap that are answered at a time. More are closed without an answer, to
    bound the cost of refusing."""

    max_discarded: int = 4_194_304
    """Bytes read and dropped while a connection closes. Most clients send their whole body before
    they read. If it is too large, they still get the answer instead of a reset."""

    max_frames: int = 500
    """Frames of one WebSocket in a burst, pings, pongs and fragments included. Without the bound,
    four sockets that sent empty frames held up all others."""

    frame_rate: float = 50.0
    """Frames a second after a burst. Talkative clients send a tenth of that."""

    max_target: int = 8_192
    """Bytes of a request's target (RFC 9110, 4.1 asks servers for 8 000 at least)."""

    max_headers: int = 128
    """Header lines of a request. Browsers behind two proxies send some thirty. The bytes allowed
    would fit four thousand, each of which takes an object or two."""
