"""The transport below the HTTP client: a connection pool whose reads and writes are bounded.

A request names its bounds as the extension `bounds`. A transport serves one thread.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from relay.client.answer_bounds import UNBOUNDED, AnswerBounds
from relay.client.connection_failure import failure_text

KEEP_ALIVE_SECONDS = 5.0  # Relay keeps an idle connection for 15
PIECE_BYTES = 16 * 2**10  # written at once

# httpx has each of httpcore's exceptions under the same name.
_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, kind.__name__): kind
    for kind in (
        *(httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout),
        *(httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.ProxyError),
        *(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.RemoteProtocolError),
    )
}


class BoundedTransport(httpx.BaseTransport):
    """Connections to one origin, by the proxy that the environment names for it."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._url = url
        self._tls = tls
        self._backend = _Backend()
        self._pool: httpcore.ConnectionPool | None = None  # opened by the first request

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        self._backend.bounds = request.extensions.get("bounds", UNBOUNDED)
        with _httpx_errors():
            if self._pool is None:
                proxy = _proxy_for(self._url)
                self._backend.dials_proxy = proxy is not None
                self._pool = httpcore.ConnectionPool(
                    ssl_context=self._tls,
                    proxy=proxy,
                    keepalive_expiry=KEEP_ALIVE_SECONDS,
                    network_backend=self._backend,
                )
            answer = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    _url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _Backend(httpcore.NetworkBackend):
    """Opens connections. `bounds` are those of the current request.

    `dials_proxy`: they are to the proxy, and not to the address of the request.
    """

    def __init__(self) -> None:
        self._opener = httpcore.SyncBackend()
        self.dials_proxy = False
        self.bounds: AnswerBounds = UNBOUNDED

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        timeout = self.bounds.shorten(timeout, httpcore.ConnectTimeout)
        try:
            stream = self._opener.connect_tcp(host, port, timeout, *args, **options)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            if not self.dials_proxy:
                raise
            why = f"{host}:{port} does not answer: {failure_text(error)}"
            raise httpcore.ProxyError(why) from error
        return _Stream(stream, self)


class _Stream(httpcore.NetworkStream):
    """A connection whose operations keep to the bounds of the current request."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bounds = self._backend.bounds
        data = self._stream.read(max_bytes, bounds.shorten(timeout, httpcore.ReadTimeout))
        bounds.count(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        bounds = self._backend.bounds
        with bounds.writing(len(buffer)):
            # in pieces, because the timeout of a buffer begins again with each part that is sent
            for at in range(0, len(buffer), PIECE_BYTES):
                piece = buffer[at : at + PIECE_BYTES]
                self._stream.write(piece, bounds.shorten(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore.NetworkStream:
        timeout = self._backend.bounds.shorten(timeout, httpcore.ConnectTimeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(secured, self._backend)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise httpcore's exceptions as those of httpx."""
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error)) from error
    except ImportError as error:  # httpcore imports what a SOCKS proxy needs when there is one
        raise httpx.ProxyError(f"the package {error.name} is not installed") from error


def _proxy_for(url: str) -> httpcore.Proxy | None:
    """The proxy for an address: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, unless NO_PROXY names it.

    Raises `httpx.ProxyError` if its address is invalid.
    """
    split = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(split.scheme) or proxies.get("all")
    if not found or proxy_bypass(split.netloc):
        return None
    try:
        proxy = httpx.Proxy(found if "://" in found else f"http://{found}")
    except (ValueError, httpx.InvalidURL) as error:
        raise httpx.ProxyError(f"its address is invalid: {error}") from error
    return httpcore.Proxy(
        _url(proxy.url), proxy.raw_auth, proxy.headers.raw, ssl_context=proxy.ssl_context
    )


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
