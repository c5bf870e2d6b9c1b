"""Mails, to a real mail server: TLS, login, replies, deadlines, and no text as a header."""

import socket
import ssl
import threading
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st

from relay.channels import mail as mail_module
from relay.channels.kinds import KINDS
from relay.channels.kinds.base import Delivered, Outcome, Refused, Retry
from relay.channels.kinds.email import EmailSettings
from relay.channels.mail import Mailer, MailFailed
from relay.channels.mail_texts import code_mail, notification_mail
from relay.channels.notification import Notification
from relay.channels.wording import words
from relay.config.mail_address import Sender
from relay.config.smtp_address import smtp_address
from tests.support.mail_server import PASSWORD, USER, MailServer, mail_server
from tests.support.notifications import BASE_URL, HOSTILE, ask, context, notification
from tests.support.patience import PATIENCE

SENDER = Sender("relay@example.com", "Relay")
TO = EmailSettings("ada@example.com")


async def send(url: str, note: Notification) -> Outcome:
    used = context(Mailer.of(smtp_address(url), SENDER))
    try:
        return await KINDS["email"].send(TO, note, used)
    finally:
        await used.outbound.close()


def plain(server: MailServer) -> str:
    return f"smtp://127.0.0.1:{server.port}"


async def test_a_notification_is_a_mail_in_plain_text() -> None:
    with mail_server() as server:
        assert await send(plain(server), notification(title="Grün 日本")) == Delivered(250)
        assert await send(plain(server), ask()) == Delivered(250)
    failed, asked = server.mails
    assert server.envelopes == [("relay@example.com", ["ada@example.com"])] * 2
    assert (failed["From"], failed["To"]) == ("Relay <relay@example.com>", "ada@example.com")
    assert failed["Subject"] == "Grün 日本 failed"
    assert failed["Message-ID"] == "<msg_5f0c8a8e1d374c52b7a42f6f1be0a913@example.com>"
    assert failed["Auto-Submitted"] == "auto-generated"
    assert failed.get_content_type() == "text/plain"
    text = failed.get_content()
    assert text.startswith("Grün 日本 failed after 3:10, exit code 2\n\n12 of 30 failed\n\n")
    assert f"Open the task: {BASE_URL}/#task=build%207\n" in text
    assert all(byte < 128 for raw in server.raw for byte in raw)
    assert "Deploy build 17?\n\nAnswers: yes · no\n\nAnswer: " in asked.get_content()


async def test_no_text_of_a_user_becomes_a_header_or_another_part() -> None:
    encoded = "=?utf-8?q?x=0D=0AReply-To:_eve@example.com=0D=0A=0D=0A?="
    hostile = f"a\r\nBcc: eve@example.com {encoded}\n\n.\r\nMAIL FROM:<x>\u2028X-A: 1\x85X-B: 2"
    hostile += HOSTILE
    note = notification(title=hostile, message=f"{hostile}\n.\n..\nFrom me")
    with mail_server() as server:
        assert await send(plain(server), note) == Delivered(250)
    (mail,) = server.mails
    assert server.envelopes == [("relay@example.com", ["ada@example.com"])]
    assert set(mail.keys()) == {
        *("From", "To", "Subject", "Date", "Auto-Submitted", "Message-ID"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    }
    assert mail["Subject"].startswith("a Bcc: eve@example.com = ?utf-8?q?x=0D=0AReply-To")
    assert "\n.\n..\nFrom me\n" in mail.get_content()


WORDS = st.sampled_from(["проекта", "и", "обучение", "prod", "Größe", "✓", "→", "日本語", "😀"])


@given(st.lists(WORDS, min_size=1, max_size=25).map(" ".join))
@example("проекта и и prod обучение проекта и")
def test_a_subject_is_read_as_it_was_written(title: str) -> None:
    note = notification(title=title)
    written = notification_mail(note, SENDER, TO.address, BASE_URL).as_bytes()
    assert written.isascii()
    assert [line for line in written.split(b"\r\n\r\n")[0].split(b"\r\n") if len(line) > 78] == []
    read = message_from_bytes(written, policy=default)
    assert read["Subject"] == words(note).headline


@given(st.lists(WORDS, min_size=1, max_size=25).map(" ".join))
@example("Сборки проекта и обучение моделей")
def test_a_senders_name_is_read_as_it_was_written(name: str) -> None:
    sender = Sender(SENDER.address, name)
    written = code_mail("1234 5678", 30, sender, TO.address, BASE_URL).as_bytes()
    assert written.isascii()
    assert [line for line in written.split(b"\r\n\r\n")[0].split(b"\r\n") if len(line) > 78] == []
    # `EmailPolicy` reads a blank between two encoded words of a name (RFC 2047, section 6.2)
    found, address = parseaddr(message_from_bytes(written)["From"])
    assert (str(make_header(decode_header(found))), address) == (name, SENDER.address)


def test_a_mail_with_a_code_holds_nothing_that_a_user_has_written() -> None:
    mail = code_mail("1234 5678", 30, SENDER, "ada@example.com", BASE_URL)
    assert mail["Subject"] == "1234 5678 is your code for Relay at relay.example.com"
    assert "valid for 30 minutes" in mail.get_content()
    assert "ignore this mail" in mail.get_content().replace("\n", " ")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_and_password_are_sent_encrypted_alone(tls: str, tmp_path: Path) -> None:
    with mail_server(tmp_path, tls=tls) as server:
        scheme = "smtps" if tls == "implicit" else "smtp"
        at = f"@127.0.0.1:{server.port}"
        user, password = quote(USER, safe=""), quote(PASSWORD, safe="")
        trusted = f"?ca_file={server.ca_file}"
        good = await send(f"{scheme}://{user}:{password}{at}{trusted}", notification())
        wrong = await send(f"{scheme}://{user}:wrong{at}{trusted}", notification())
        forced = "" if scheme == "smtps" else "?starttls=on"
        other = await send(f"{scheme}://{user}:{password}{at}{forced}", notification())
    assert good == Delivered(250)
    assert wrong == Retry("the mail server refuses Relay's password", 535)
    assert other == Retry("no secure connection to the mail server")
    assert (len(server.mails), set(server.logins)) == (1, {USER})
    if tls == "starttls":
        assert server.encrypted == [True]


async def test_a_server_without_starttls_gets_nothing() -> None:
    with mail_server() as server:
        outcome = await send(f"{plain(server)}?starttls=on", notification())
    assert outcome == Retry("the mail server has no STARTTLS, or no login by password")
    assert server.mails == []


@pytest.mark.parametrize(
    ("command", "reply", "outcome"),
    [
        ("RCPT", "550 5.1.1 no such user", Refused("", 550, ends_channel=True)),
        ("RCPT", "554 5.7.1 relay access denied", Refused("", 554)),
        ("RCPT", "450 4.2.1 mailbox busy", Retry("", 450)),
        ("DATA", "552 5.3.4 too big", Refused("", 552)),
        ("DATA", "451 4.7.1 greylisted", Retry("", 451)),
    ],
)
async def test_the_servers_reply_decides_what_follows(
    command: str, reply: str, outcome: Refused | Retry
) -> None:
    with mail_server() as server:
        server.answers[command] = reply
        found = await send(plain(server), notification())
    assert isinstance(found, type(outcome))
    assert found.status == outcome.status
    assert "user" not in found.reason, "nothing of the server's text is shown"
    if isinstance(found, Refused) and isinstance(outcome, Refused):
        assert found.ends_channel == outcome.ends_channel


async def test_a_server_that_is_away_or_no_mail_server_is_tried_again() -> None:
    assert isinstance(await send("smtp://127.0.0.1:9", notification()), Retry)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_http() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer_http)
        thread.start()
        found = await send(f"smtp://127.0.0.1:{listener.getsockname()[1]}", notification())
        thread.join()
    assert isinstance(found, Retry)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_mail_may_be_taken_where_the_connection_breaks_after_it(taken: bool) -> None:
    replies = [b"220 mail.test", b"250 mail.test", b"250 sender", b"250 recipient", b"354 go on"]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_and_break() -> None:
            accepted, _ = listener.accept()
            with accepted, accepted.makefile("rb") as lines:
                for reply in replies if taken else ():
                    accepted.sendall(reply + b"\r\n")
                    if not reply.startswith(b"354"):
                        lines.readline()
                while taken and lines.readline() != b".\r\n":
                    pass

        thread = threading.Thread(target=answer_and_break)
        thread.start()
        mailer = Mailer.of(smtp_address(f"smtp://127.0.0.1:{listener.getsockname()[1]}"), SENDER)
        with pytest.raises(MailFailed, match="or it broke") as failed:
            await mailer.send(code_mail("1", 30, SENDER, TO.address, BASE_URL), TO.address)
        thread.join()
    assert failed.value.may_be_taken is taken


@pytest.mark.parametrize(
    ("tls", "url", "slow"),
    [
        ("none", "smtp://{at}", (socket, "getaddrinfo")),
        ("none", "smtp://{at}", (socket.socket, "connect")),
        ("starttls", "smtp://{login}@{at}{trusted}", (ssl.SSLSocket, "do_handshake")),
        ("implicit", "smtps://{login}@{at}{trusted}", (ssl.SSLSocket, "do_handshake")),
    ],
    ids=["resolving", "connecting", "STARTTLS", "TLS"],
)
async def test_a_mail_is_not_sent_after_its_deadline(
    clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tls: str,
    url: str,
    slow: tuple[Any, str],
) -> None:
    """Also not by a connection that stands only then: it is tried again, and would come twice."""
    monkeypatch.setattr(mail_module, "ANSWER_SECONDS", PATIENCE)
    begun, go_on = threading.Event(), threading.Event()
    work = getattr(*slow)

    def wait(*args: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE)
        return work(*args, **options)

    async def let_the_deadline_pass() -> None:
        assert await trio.to_thread.run_sync(begun.wait, PATIENCE)
        clock.jump(mail_module.TOTAL_SECONDS)

    with mail_server(tmp_path, tls=tls) as server:
        login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
        at, trusted = f"127.0.0.1:{server.port}", f"?ca_file={server.ca_file}"
        address = smtp_address(url.format(login=login, at=at, trusted=trusted))
        mailer = Mailer(address, SENDER, trio.CapacityLimiter(1))
        monkeypatch.setattr(*slow, wait)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(let_the_deadline_pass)
            outcome = await KINDS["email"].send(TO, notification(), context(mailer))
        go_on.set()
        await mailer.threads.acquire()  # which its thread has returned at its end
    assert outcome == Retry("the mail server did not take it within 20 seconds")
    assert (server.logins, server.mails) == ([], [])


async def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_module, "TOTAL_SECONDS", 0.3)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            try:
                accepted, _ = listener.accept()
                with accepted:
                    while not ended.wait(0.05):
                        accepted.sendall(b"2")  # a reply without an end
            except OSError:
                ended.set()

        thread = threading.Thread(target=drip)
        thread.start()
        mailer = Mailer.of(smtp_address(f"smtp://127.0.0.1:{listener.getsockname()[1]}"), SENDER)
        used = context(mailer)
        found = await KINDS["email"].send(TO, notification(), used)
        await used.outbound.close()
        while mailer.threads.borrowed_tokens:  # noqa: ASYNC110 - the thread ends with its socket
            await trio.sleep(0.01)
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)  # where it was late, it has not even connected
        thread.join()
    assert found == Retry("the mail server did not take it within 0.3 seconds")
