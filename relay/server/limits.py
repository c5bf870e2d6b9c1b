"""What one connection, and all of them together, may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The bounds a server keeps; each with its unit and why it is what it is."""

    max_connections: int = 10_256
    """Live connections. Ten thousand streams, and room for the requests that feed them."""

    send_timeout: float = 30.0
    """Seconds without one byte of progress until a writer gives its reader up. Longer than a
    phone needs to change networks, shorter than what stalled readers could pile up."""

    close_timeout: float = 2.0
    """Seconds the end of a connection may take: the answer to a close frame, or a lingering close.
    An honest peer needs a round trip; a silent one is not worth a socket."""

    first_request_timeout: float = 1.0
    """Seconds that a stopping server waits for the first request of a connection it has accepted.
    The client has sent it, or is about to: closing would leave it unanswered."""

    refusal_timeout: float = 1.0
    """Seconds a connection over the cap may take to read its 503."""

    max_refusals: int = 512
    """Connections over the cap that are answered at one time; past it they are closed unanswered,
    so that refusing never costs more than serving."""

    max_discarded: int = 4_194_304
    """Bytes read and thrown away while a connection ends. Most clients send their whole body before
    they read: the answer to one a few times too large still arrives, instead of a reset."""

    max_frames: int = 500
    """Frames of one WebSocket at once, pings, pongs and fragments included; and `frame_rate` a
    second. Empty ones cost their sender nothing: four sockets of them held up all others."""

    frame_rate: float = 50.0
    """Frames a second, steadily. A chatty client has a tenth of it."""

    max_target: int = 8_192
    """Bytes of a request's target (RFC 9110, 4.1 asks servers for 8 000 at least)."""

    max_headers: int = 128
    """Header lines of a request; browsers behind two proxies send some thirty. The shortest that
    fit in the bytes allowed would be four thousand, each of them an object or two."""
