"""Calls receivers: bounded in time and size, to public addresses, without following redirects.

A name is resolved here, every address that it has is checked, and one of these is connected to: so
it makes no difference what the name leads to a moment later. The certificate is still that of the
name. No proxy of the environment is used, because it would resolve the name itself.
"""

import math
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from typing import Any

import httpcore
import httpx
import trio

from relay import __version__
from relay.channels.addresses import PORTS, is_public
from relay.channels.connections import ReceiverConnections
from relay.channels.outbound_answer import OutboundAnswer, OutboundFailed
from relay.channels.urls import parse_url
from relay.events import utc_now

TOTAL_SECONDS = 15.0  # of a call; receivers are asked to answer at once and work later
CONNECT_SECONDS = 5.0  # to one address
MAX_ADDRESSES = 4  # of a name that are tried
MAX_ANSWER_BYTES = 64 * 2**10  # a longer body, or one without a length, is not read at all
NO_BODY = (204, 304)
MAX_RECEIVED_BYTES = 4 * MAX_ANSWER_BYTES  # of one answer with all that stands before it
MAX_READ_BYTES = 4 * 2**10  # at once: other tasks run between two pieces of what is parsed
BODY_SECONDS = 2.0  # for a body, once the status is known: nothing depends on it
MAX_RESOLVING = 64  # names at a time: those of a slow server hold up no other work of the process
MAX_RETRY_AFTER_SECONDS = 86_400.0

# one text for both: channels tell nothing of the names in the operator's own network
UNKNOWN_HOST = "refused: the host is not known, or has an address that is not public"

INVALID_ADDRESS = "the address is not valid"
USER_AGENT = f"Relay/{__version__}"


class Outbound:
    """The connections of one process to receivers. `private`: as RELAY_OUTBOUND_PRIVATE=on.

    `trust` is what the certificates of receivers are verified by.
    """

    def __init__(self, *, private: bool, trust: ssl.SSLContext) -> None:
        self.private = private
        self._connections = ReceiverConnections(_CheckedBackend(private=private), trust)

    async def close_expired(self) -> None:
        """Close the connections that have been kept for long enough."""
        await self._connections.close_expired()

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._connections.close()

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> OutboundAnswer:
        """Send a POST. Raises OutboundFailed."""
        try:
            address = parse_url(url)
        except ValueError:
            raise OutboundFailed(INVALID_ADDRESS) from None
        try:
            with trio.fail_after(TOTAL_SECONDS):
                return await self._send(address, headers, content)
        except trio.TooSlowError:
            raise OutboundFailed(f"no answer within {TOTAL_SECONDS:g} seconds") from None
        except httpcore.TimeoutException:
            raise OutboundFailed("no connection in time") from None
        except httpcore.ProtocolError:
            raise OutboundFailed("the answer is not HTTP") from None
        except (httpcore.NetworkError, ssl.SSLError, OSError) as error:
            raise OutboundFailed(_network_reason(error)) from None
        except httpcore.UnsupportedProtocol:
            raise OutboundFailed(INVALID_ADDRESS) from None

    async def _send(
        self, url: httpx.URL, headers: Mapping[str, str], content: bytes
    ) -> OutboundAnswer:
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = {"user-agent": USER_AGENT, "accept": "*/*", **headers}
        async with self._connections.post(
            target, sent, content, connect_s=CONNECT_SECONDS
        ) as answer:
            length = 0 if answer.status in NO_BODY else _length(answer.headers)
            if length <= MAX_ANSWER_BYTES:
                await _read(answer)
            return OutboundAnswer(answer.status, _retry_after(answer.headers))


def trusted_authorities() -> ssl.SSLContext:
    """What certificates are verified by, as the machine has it. That takes 30 ms of CPU."""
    return httpx.create_ssl_context()


async def _read(answer: httpcore.Response) -> None:
    """Read an answer to its end, if that comes soon: the connection can be used again then."""
    broken = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
    with trio.move_on_after(BODY_SECONDS), suppress(*broken):
        async for _ in answer.aiter_stream():
            pass


def _network_reason(error: BaseException) -> str:
    if isinstance(error, _Refused):
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "no secure connection: TLS or the certificate failed"
        cause = cause.__cause__ or cause.__context__  # httpcore drops the cause
    return "no connection" if isinstance(error, httpcore.ConnectError) else "the connection broke"


def _length(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """The length of a body that has one; inf where it may be longer than it says."""
    fields = {name.lower(): value for name, value in headers}
    value = fields.get(b"content-length", b"")
    return int(value) if value.isdigit() and b"transfer-encoding" not in fields else math.inf


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """The seconds of the Retry-After header, which may be a number or a date (RFC 9110)."""
    for name, value in headers:
        if name.lower() != b"retry-after":
            continue
        text = value.decode("latin-1").strip()
        try:
            seconds = float(text) if text.isdecimal() else _seconds_until(text)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
    return None


def _seconds_until(date: str) -> float:
    return (parsedate_to_datetime(date) - utc_now()).total_seconds()


class _Refused(httpcore.ConnectError):
    """The address is not one that may be called."""


class _BoundedStream(httpcore.AsyncNetworkStream):
    """A connection that takes no more than one answer may have, in small pieces.

    What an answer begins with (informational answers, its head) has no bound of its own.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(min(max_bytes, MAX_READ_BYTES), timeout)
        self._received += len(data)
        if self._received > MAX_RECEIVED_BYTES:
            raise httpcore.ReadError("the answer is too long")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._received = 0  # the next answer
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses that were checked."""

    def __init__(self, *, private: bool) -> None:
        self._opener = httpcore.TrioBackend()
        self._private = private
        self._resolving = trio.CapacityLimiter(MAX_RESOLVING)

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        if not self._private and port not in PORTS:
            raise _Refused("refused: only the ports 443 and 80 are called")
        failure: Exception = httpcore.ConnectError("no address")
        for address in (await self._resolve(host, port))[:MAX_ADDRESSES]:
            try:
                opened = await self._opener.connect_tcp(address, port, timeout, *args, **options)
                return _BoundedStream(opened)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, in the order to try them. Raises _Refused, ConnectError."""
        try:
            found = await trio.to_thread.run_sync(
                partial(getaddrinfo, host, port, type=SOCK_STREAM),
                abandon_on_cancel=True,
                limiter=self._resolving,
            )
        except (OSError, UnicodeError):
            raise _Refused(UNKNOWN_HOST) from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        if not self._private and not all(is_public(ip_address(one)) for one in addresses):
            raise _Refused(UNKNOWN_HOST)
        return addresses

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
