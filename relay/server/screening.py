"""Decide which parsed requests must not reach the application. No I/O.

Each of these has crashed a process, hung a connection or confused code behind this. Requests that
are merely wrong are left to the application.
"""

import re
from functools import lru_cache

from hypercorn.config import Config
from wsproto.handshake import WEBSOCKET_VERSION

from relay.errors import BadRequest, NotFound, Problem

from .heads import Head
from .limits import ConnectionLimits
from .refusals import HeadersTooLarge, UriTooLong

# later decoded as ASCII by wsproto's handshake, the framework and `server_names`
_ASCII_HEADERS = (
    *(b"host", b"connection", b"upgrade"),
    *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
)
# RFC 3986, 3.2.2: a name or an IP literal in brackets, and a port of digits. Labels have at most 63
# bytes, as the framework's router needs them.
_LABEL = rb"[0-9A-Za-z\-_~%!$&'()*+,;=]"
_IP_LITERAL = rb"\[[0-9A-Za-z:.\-_~%!$&'()*+,;=]{1,63}\]"
_HOST = re.compile(rb"((%b{1,63}\.)*%b{0,63}|%b)(:[0-9]*)?" % (_LABEL, _LABEL, _IP_LITERAL))
_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")
_ABSOLUTE = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


def screen(request: Head, config: Config, limits: ConnectionLimits) -> Problem | None:
    """Why this request is refused, or None."""
    if len(request.target) > limits.max_target:
        return UriTooLong()
    # the reader bounds incomplete heads only; one that arrived in one piece may be larger
    if request.size > config.h11_max_incomplete_size:
        return HeadersTooLarge()
    if len(request.headers) > limits.max_headers:
        return HeadersTooLarge("The request has more headers than this server reads.")
    if origin_form(request.method, request.target) is None:
        return BadRequest("The request's target is neither a path nor an http URL.")
    for name in () if request.is_ascii else _ASCII_HEADERS:
        if not request.all_of(name).isascii():
            return BadRequest(f"The header {name.decode()} must be ASCII.")
    if not _is_host(request.all_of(b"host")):
        return BadRequest("The header Host is malformed.")
    if config.server_names and request.all_of(b"host").decode() not in config.server_names:
        return NotFound()
    if wants_websocket(request):
        return _check_handshake(request)
    return None


@lru_cache(128)
def _is_host(name: bytes) -> bool:
    return _HOST.fullmatch(name) is not None


def wants_websocket(request: Head) -> bool:
    """Whether this is a WebSocket handshake (RFC 6455, 4.1), valid or not."""
    if request.method != b"GET" or request.all_of(b"upgrade").lower() != b"websocket":
        return False
    tokens = request.all_of(b"connection").lower().split(b",")
    return b"upgrade" in [token.strip() for token in tokens]


def origin_form(method: bytes, target: bytes) -> bytes | None:
    """The target as path and query (RFC 9112, 3.2), or None if it is not supported."""
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return None
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _check_handshake(request: Head) -> Problem | None:
    if request.version != b"1.1":
        return BadRequest("A WebSocket handshake needs HTTP/1.1.")
    if _KEY.fullmatch(request.all_of(b"sec-websocket-key")) is None:
        return BadRequest("The header Sec-WebSocket-Key is not 16 bytes in base64.")
    if request.all_of(b"sec-websocket-version") != WEBSOCKET_VERSION:
        problem = BadRequest("Only WebSocket version 13 is supported.")
        problem.headers["Sec-WebSocket-Version"] = WEBSOCKET_VERSION.decode()
        return problem
    if b"transfer-encoding" in request or request.all_of(b"content-length") not in (b"", b"0"):
        return BadRequest("A WebSocket handshake must not have a body.")
    return None
