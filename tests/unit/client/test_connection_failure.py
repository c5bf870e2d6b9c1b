"""Failures of a connection in plain words: no number of the operating system is shown."""

import errno
import os
import socket
import ssl

import httpx
import pytest

from relay.client.api_client import ApiClient, ApiError
from relay.client.connection_failure import NotHttp, failure_text, is_foreign, no_answer_text
from relay.client.plain_text import MAX_SHOWN
from tests.support.ports import HeldPort

# a library's error, and what it was made from
CASES = [
    (httpx.ConnectError, ConnectionRefusedError(111, "Connection refused"), "connection refused"),
    (httpx.ConnectError, socket.gaierror(-2, "Name or service not known"), "host name is unknown"),
    (httpx.ReadError, ConnectionResetError(104, "Connection reset by peer"), "was cut"),
    (httpx.WriteError, BrokenPipeError(32, "Broken pipe"), "was cut"),
    (httpx.ConnectTimeout, TimeoutError("timed out"), "no connection in time"),
    (httpx.ReadTimeout, TimeoutError("timed out"), "no answer in time"),
    (httpx.RemoteProtocolError, ValueError(), "Server disconnected"),
    *(
        (httpx.ConnectError, OSError(number, os.strerror(number)), os.strerror(number))
        for number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EMFILE, errno.EACCES)
    ),
]


@pytest.mark.parametrize(("kind", "cause", "words"), CASES)
def test_a_failure_is_described_in_words(
    kind: type[httpx.TransportError], cause: Exception, words: str
) -> None:
    text = "Server disconnected" if kind is httpx.RemoteProtocolError else str(cause)
    error = kind(text)
    error.__cause__ = cause
    described = failure_text(error)
    assert words in described
    assert "rrno" not in described


def test_a_certificate_is_named() -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] …")
    error.__context__ = cause
    assert failure_text(error) == "its certificate is not trusted: self-signed certificate"


FOREIGN = [
    (NotHttp("it does not answer in HTTP"), None),
    (httpx.ConnectError("…"), ssl.SSLCertVerificationError(1, "certificate verify failed")),
    (httpx.ConnectError("…"), ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] …")),
]
LIKE_RELAYS = [
    (httpx.ConnectError("…"), ConnectionRefusedError(111, "Connection refused")),
    (httpx.ConnectError("…"), ssl.SSLEOFError(8, "EOF occurred in violation of protocol")),
    (httpx.ReadTimeout("…"), TimeoutError("timed out")),
    (httpx.RemoteProtocolError("Server disconnected without sending a response."), None),
]


@pytest.mark.parametrize(
    ("error", "cause", "foreign"),
    [*((*one, True) for one in FOREIGN), *((*one, False) for one in LIKE_RELAYS)],
)
def test_an_answer_that_cannot_be_relays_is_named_with_what_to_check(
    error: httpx.HTTPError, cause: Exception | None, foreign: bool
) -> None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        cause.verify_message = "self-signed certificate"
    error.__cause__ = cause
    assert is_foreign(error) == foreign
    text = no_answer_text("http://relay.test", error)
    assert text.startswith("http://relay.test does not answer (")
    assert ("Check the scheme, host and port" in text) == foreign


def test_bytes_of_a_server_in_an_error_are_cleaned() -> None:
    noise = httpx.RemoteProtocolError("illegal status line: \x1b]0;x\x07\x9b31m\u202e\nforged" * 99)
    text = failure_text(noise)
    assert text.isprintable()
    assert len(text) <= MAX_SHOWN + 1


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "connection refused: nothing listens at this address"),
        ("proxy.invalid", "the host name is unknown"),
    ],
)
def test_a_proxy_that_does_not_answer_is_named(
    host: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of Relay, which the message begins with, may be right."""

    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with HeldPort() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}:{port.number}")
        if host == "proxy.invalid":
            monkeypatch.setattr(socket, "create_connection", unknown)
        with ApiClient("http://relay.test", "token") as relay, pytest.raises(ApiError) as raised:
            relay.call("GET", "/api/me")
    proxy = f"the proxy of the environment: {host}:{port.number} does not answer: {why}"
    assert str(raised.value) == f"http://relay.test does not answer ({proxy})"
    assert raised.value.is_temporary


def test_an_error_without_a_text_has_its_name() -> None:
    assert failure_text(httpx.ReadError("")) == "ReadError"
