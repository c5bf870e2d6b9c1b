"""Sends mails through the operator's server, in threads: smtplib blocks.

A thread holds one connection for one mail. All that the server may take its time with is within one
deadline; then the connection is shut, which ends the thread.
"""

import re
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from functools import partial
from typing import Any

import msgspec
import trio

from relay.config.mail_address import Sender
from relay.config.smtp_address import SmtpAddress, smtp_tls_context

TOTAL_SECONDS = 20.0  # of a mail, from the wait for a thread to the server's last answer
ANSWER_SECONDS = 10.0  # for one answer of the server
MAX_TOGETHER = 4  # connections to the mail server: they are few, and it may bound them, too
ACCEPTED = 250
PERMANENT = 500  # replies from here on will be the same next time (RFC 5321, section 4.2.1)
UNKNOWN_MAILBOX = re.compile(rb"5\.1\.")  # at the start of a reply (RFC 3463, section 3.2)


class MailFailed(Exception):
    """The mail was not taken. The message is for a person, and shows nothing of the server's text.

    `status` is its reply, if there was one. `permanent`: another try would meet the same.
    `unknown_recipient`: the server does not take mail for this address. `may_be_taken`: the server
    may have the mail all the same, because its answer did not come.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        permanent: bool = False,
        unknown_recipient: bool = False,
        may_be_taken: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.permanent = permanent
        self.unknown_recipient = unknown_recipient
        self.may_be_taken = may_be_taken


class Mailer(msgspec.Struct, frozen=True):
    """The mail server, the sender, and how many mails are sent at once by this process."""

    server: SmtpAddress
    sender: Sender
    threads: trio.CapacityLimiter

    @classmethod
    def of(cls, server: SmtpAddress, sender: Sender) -> "Mailer":
        return cls(server, sender, trio.CapacityLimiter(MAX_TOGETHER))

    async def send(self, mail: EmailMessage, recipient: str) -> int:
        """Hand the mail over; returns the reply. Raises MailFailed."""
        connection = _Connection()
        try:
            with trio.fail_after(TOTAL_SECONDS):
                return await trio.to_thread.run_sync(
                    partial(_deliver, connection, self.server, self.sender, mail, recipient),
                    limiter=self.threads,
                    abandon_on_cancel=True,
                )
        except trio.TooSlowError:
            raise MailFailed(
                f"the mail server did not take it within {TOTAL_SECONDS:g} seconds",
                may_be_taken=True,
            ) from None
        finally:
            connection.shut()


class _Connection:
    """The connection to the mail server, which another thread may shut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # so that none is shut whose number another one has by now
        self._socket: socket.socket | None = None
        self._is_shut = False

    def open(self, server: SmtpAddress, sender: Sender) -> smtplib.SMTP:
        """Connect, with TLS where it comes first. Raises OSError, SMTPException, ValueError."""
        address = {"host": server.host, "port": server.port, "local_hostname": sender.domain}
        if server.tls == "implicit":
            context = smtp_tls_context(server)
            return _HeldTls(self, context=context, timeout=ANSWER_SECONDS, **address)
        return _Held(self, timeout=ANSWER_SECONDS, **address)

    def hold(self, sock: socket.socket | None) -> None:
        """Take the socket that is used from here on. One that comes too late is shut at once."""
        with self._lock:
            self._socket = sock
            if self._is_shut:
                self._shut_socket()

    def shut(self) -> None:
        """End it, whatever it waits for; a lookup, a connect and a handshake end by themselves."""
        with self._lock:
            self._is_shut = True
            self._shut_socket()

    def _shut_socket(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it has ended by itself
                # not by a method of TLS, which lets what is sent meanwhile out in the clear
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Held(smtplib.SMTP):
    """A client whose socket is held by a connection, from when it is connected."""

    _sock: socket.socket | None = None

    def __init__(self, connection: _Connection, **options: Any) -> None:
        self._connection = connection
        super().__init__(**options)

    @property
    def sock(self) -> socket.socket | None:
        return self._sock

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        self._sock = sock
        self._connection.hold(sock)


class _HeldTls(_Held, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


def _deliver(
    connection: _Connection,
    server: SmtpAddress,
    sender: Sender,
    mail: EmailMessage,
    recipient: str,
) -> int:
    """Send one mail, blocking. Raises MailFailed."""
    is_handing_over = False
    try:
        smtp = connection.open(server, sender)
        try:
            if server.tls == "starttls":
                smtp.starttls(context=smtp_tls_context(server))
            if server.password is not None:
                smtp.login(server.user or "", server.password)
            is_handing_over = True
            smtp.sendmail(sender.address, [recipient], mail.as_bytes())
            with suppress(OSError, smtplib.SMTPException):
                smtp.putcmd("quit")  # its answer says nothing of the mail
        finally:
            smtp.close()
    except smtplib.SMTPRecipientsRefused as error:
        status, reply = error.recipients[recipient]
        unknown = UNKNOWN_MAILBOX.match(reply) is not None
        raise _failure("refuses the recipient", status, unknown_recipient=unknown) from None
    except smtplib.SMTPAuthenticationError as error:
        raise MailFailed("the mail server refuses Relay's password", error.smtp_code) from None
    except smtplib.SMTPDataError as error:
        raise _failure("refuses the mail", error.smtp_code) from None
    except smtplib.SMTPResponseException as error:
        raise MailFailed(f"the mail server answers {error.smtp_code}", error.smtp_code) from None
    except smtplib.SMTPNotSupportedError:
        raise MailFailed("the mail server has no STARTTLS, or no login by password") from None
    except ssl.SSLError:
        raise MailFailed(
            "no secure connection to the mail server", may_be_taken=is_handing_over
        ) from None
    except (smtplib.SMTPException, OSError, ValueError):
        raise MailFailed(
            "no connection to the mail server, or it broke", may_be_taken=is_handing_over
        ) from None
    return ACCEPTED


def _failure(what: str, status: int, *, unknown_recipient: bool = False) -> MailFailed:
    return MailFailed(
        f"the mail server {what}: {status}",
        status,
        permanent=status >= PERMANENT,
        unknown_recipient=unknown_recipient,
    )
