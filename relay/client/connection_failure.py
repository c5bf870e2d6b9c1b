"""Why there was no HTTP answer, in plain words instead of the operating system's numbers."""

import socket
import ssl
from collections.abc import Iterator

import httpx

from relay.client.answers import CHECK_ADDRESS
from relay.client.plain_text import shown_text, without_error_number


class NotHttp(httpx.TransportError):
    """Another program than Relay answered, and its answer is no HTTP, or none that ends."""


def is_foreign(error: Exception) -> bool:
    """Whether another program answered: no HTTP, no TLS, a certificate that is not trusted.

    A connection that was cut, or no answer in time, may be Relay's.
    """
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    return any(
        isinstance(cause, NotHttp | ssl.SSLError) and not isinstance(cause, cut)
        for cause in _causes(error)
    )


def no_answer_text(url: str, error: Exception) -> str:
    """That there was no answer, why, and what to check if another program is there."""
    text = f"{url} does not answer ({failure_text(error)})"
    return f"{text}. {CHECK_ADDRESS}." if is_foreign(error) else text


def failure_text(error: Exception) -> str:
    """The reason why a request had no answer, as the end of a sentence."""
    for cause in _causes(error):
        match cause:
            case NotHttp():
                return str(cause)
            case ConnectionRefusedError():
                return "connection refused: nothing listens at this address"
            case socket.gaierror():
                return "the host name is unknown"
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {cause.verify_message}"
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS: is the address an http:// one?"
            case ConnectionResetError() | BrokenPipeError():
                return "the connection was cut"
            case httpx.ProxyError():
                return f"the proxy of the environment: {shown_text(str(cause))}"
            case httpx.ConnectTimeout():
                return "no connection in time"
            case httpx.TimeoutException():
                return "no answer in time"
    return shown_text(without_error_number(str(error))) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
