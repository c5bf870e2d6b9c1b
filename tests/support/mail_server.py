"""A real mail server on loopback: what it was sent, and what it answers."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.certificates import self_signed
from tests.support.patience import PATIENCE

USER, PASSWORD = "relay@example.com", "mail: pass/word @1"


class MailServer:
    """Takes mails. `answers` has replies to give instead, by command: RCPT, DATA."""

    def __init__(self) -> None:
        self.port = 0
        self.ca_file: Path | None = None
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str | None, list[str]]] = []
        self.encrypted: list[bool] = []
        self.logins: list[str] = []
        self.answers: dict[str, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content.replace(b"\r\n", b"\n"), policy=default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(content)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append(data.login.decode())
        good = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        return AuthResult(success=good, handled=False)


@contextmanager
def mail_server(folder: Path | None = None, *, tls: str = "none") -> Iterator[MailServer]:
    """A mail server for the block. With `tls` (`starttls`, `implicit`) it also takes a login, and
    needs both; its certificate is in `folder`."""
    handler = MailServer()
    context: ssl.SSLContext | None = None
    options: dict[str, Any] = {}
    if tls != "none":
        assert folder is not None
        files = self_signed(folder)
        handler.ca_file = Path(files["certfile"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files["certfile"], files["keyfile"])
        options = {"authenticator": handler.authenticate, "auth_required": True}
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        else:
            # aiosmtpd does not see that there is TLS, and warns of a login required without
            options |= {"auth_require_tls": False, "auth_required": False}
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(handler, loop=loop, hostname="mail.test", **options),
            *("127.0.0.1", 0),
            ssl=context if tls == "implicit" else None,
        )
        handler.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await asyncio.to_thread(stop.wait)
            async with asyncio.timeout(PATIENCE):  # each connection has a task until it has ended
                while connections := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(connections)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield handler
    finally:
        stop.set()
        thread.join()
