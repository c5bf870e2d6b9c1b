"""Failures of a connection in plain words: no number of the operating system is shown."""

import errno
import os
import socket
import ssl

import httpx
import pytest

from relay.client.connection_failure import failure_text

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
def test_a_failure_is_told_in_words(
    kind: type[httpx.TransportError], cause: Exception, words: str
) -> None:
    text = "Server disconnected" if kind is httpx.RemoteProtocolError else str(cause)
    error = kind(text)
    error.__cause__ = cause
    said = failure_text(error)
    assert words in said
    assert "rrno" not in said


def test_a_certificate_is_named() -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] …")
    error.__context__ = cause
    assert failure_text(error) == "its certificate is not trusted: self-signed certificate"


def test_an_error_without_a_text_has_its_name() -> None:
    assert failure_text(httpx.ReadError("")) == "ReadError"
