"""Calls of receivers over real sockets: bounded, not redirected, and to checked addresses only."""

import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio
import trio.testing

from relay.channels import connections, outbound
from relay.channels.outbound import MAX_ANSWER_BYTES, Outbound, trusted_authorities
from relay.channels.outbound_answer import OutboundAnswer, OutboundFailed
from relay.events import utc_now
from tests.support.certificates import self_signed
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.receivers import Receiver, calling, receiver, reply

PUBLIC = "1.1.1.1"  # nothing connects to it: the opener is a stand-in there


@pytest.fixture
async def calls() -> AsyncIterator[Outbound]:
    """The way out where private addresses are lifted."""
    opened = calling()
    yield opened
    await opened.close()


class Names:
    """A resolver that answers with the next of these addresses each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, _host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (one, port)) for one in found]


class Opener(httpcore.AsyncNetworkBackend):
    """Opens nothing, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.asked.append((host, port))
        raise httpcore.ConnectError("no route")


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Opener:
    stand_in = Opener()
    monkeypatch.setattr("httpcore.TrioBackend", lambda: stand_in)
    return stand_in


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What each host's name leads to: the test sets it."""
    resolver = Names([])
    monkeypatch.setattr(outbound, "getaddrinfo", resolver)
    return resolver


async def test_a_post_arrives_and_its_answer_is_a_status_and_a_time(calls: Outbound) -> None:
    async with receiver() as there:
        there.script.append(reply(500, b"a secret of the receiver", retry_after="7"))
        for expected in ((500, 7.0), (204, None)):
            assert await calls.post(there.url, {"x-test": "ä"}, b"body") == expected
        (first, _) = there.posts
        assert (first.path, first.body) == ("/hook", b"body")
        assert first.headers["content-length"] == "4"
        assert first.headers["user-agent"].startswith("Relay/")
        assert "accept-encoding" not in first.headers


async def test_a_retry_after_may_be_a_date(calls: Outbound) -> None:
    async with receiver() as there:
        there.script.append(reply(503, retry_after=format_datetime(utc_now(), usegmt=True)))
        there.script.append(reply(503, retry_after="Fri, 31 Dec 2100 23:59:59 GMT"))
        there.script.append(reply(503, retry_after="soon"))
        found = [(await calls.post(there.url, {}, b"")).retry_after for _ in range(3)]
        assert found == [0.0, outbound.MAX_RETRY_AFTER_SECONDS, None]


async def test_a_redirect_is_an_answer_and_leads_nowhere(calls: Outbound) -> None:
    async with receiver() as there, receiver() as elsewhere:
        there.always = reply(307, location=elsewhere.url)
        assert (await calls.post(there.url, {}, b"body")).status == 307
        assert elsewhere.posts == []


async def test_an_answer_that_is_too_long_is_not_read(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its connection is not used again, as it is after one that was read."""
    monkeypatch.setattr(outbound, "BODY_SECONDS", PATIENCE)
    monkeypatch.setattr(connections, "IDLE_SECONDS", PATIENCE)
    async with receiver() as there:
        there.script.append(reply(200, b"x" * (20 * MAX_ANSWER_BYTES)))
        there.script.append(reply(200, b"x" * MAX_ANSWER_BYTES))
        for accepted in (1, 2):
            assert await calls.post(there.url, {}, b"") == (200, None)
            assert there.accepted == accepted
        assert (await calls.post(there.url, {}, b"")).status == 204
        assert there.accepted == 2


async def test_a_status_counts_without_the_body(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "BODY_SECONDS", 0.2)
    ended = trio.Event()

    async def half(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nha")
        await ended.wait()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, half, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        assert await calls.post(url, {}, b"") == (202, None)
        ended.set()
        nursery.cancel_scope.cancel()


async def test_a_receiver_that_hangs_is_left(
    calls: Outbound, clock: trio.testing.MockClock
) -> None:
    async with receiver() as there, trio.open_nursery() as nursery:
        there.script.append(reply(None))

        async def wait_until_it_hangs() -> None:
            await there.has(1)
            clock.jump(outbound.TOTAL_SECONDS)

        nursery.start_soon(wait_until_it_hangs)
        with pytest.raises(OutboundFailed, match="no answer within"):
            await calls.post(there.url, {}, b"")
        assert (await calls.post(there.url, {}, b"")).status == 204


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://127.0.0.1:{away}/", "no connection"),
        ("http://no-such-host.invalid/", "host is not known"),
    ],
)
async def test_what_cannot_be_reached_has_a_reason_in_a_few_words(
    calls: Outbound, url: str, fault: str
) -> None:
    with HeldPort() as away, pytest.raises(OutboundFailed, match=fault):
        await calls.post(url.format(away=away.number), {}, b"")


async def test_what_is_not_http_has_a_reason(calls: Outbound) -> None:
    async def other(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, other, [listener])
        with pytest.raises(OutboundFailed, match="not HTTP"):
            await calls.post(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", {}, b"")
        nursery.cancel_scope.cancel()


async def test_a_private_address_is_not_connected_to(opener: Opener) -> None:
    async with receiver() as there:
        with pytest.raises(OutboundFailed, match="not public"):
            await calling(private=False).post("https://127.0.0.1/", {}, b"")
        with pytest.raises(OutboundFailed, match="ports"):
            await calling(private=False).post(there.url, {}, b"")
        assert there.posts == []
    assert opener.asked == []


async def test_the_address_that_was_checked_is_the_one_that_is_called(
    opener: Opener, names: Names
) -> None:
    """A name that leads elsewhere at the next look changes nothing: there is one look a call."""
    names.answers = [[PUBLIC], ["127.0.0.1"]]
    calls = calling(private=False)
    with pytest.raises(OutboundFailed, match="no connection"):
        await calls.post("https://rebinding.example/", {}, b"")
    assert (opener.asked, names.asked) == ([(PUBLIC, 443)], 1)
    with pytest.raises(OutboundFailed, match="not public"):
        await calls.post("https://rebinding.example/", {}, b"")
    assert (opener.asked, names.asked) == ([(PUBLIC, 443)], 2)


@pytest.mark.parametrize("private", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "100.64.0.1"])
async def test_a_name_with_one_private_address_is_not_called_at_all(
    opener: Opener, names: Names, private: str
) -> None:
    names.answers = [[PUBLIC, private]]
    with pytest.raises(OutboundFailed, match="not public"):
        await calling(private=False).post("https://mixed.example/", {}, b"")
    assert opener.asked == []


async def test_a_certificate_has_to_be_one_that_is_trusted(
    calls: Outbound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["certfile"], files["keyfile"])
    async with receiver(context) as there:
        with pytest.raises(OutboundFailed, match="TLS or the certificate"):
            await calls.post(there.url, {}, b"")
        assert there.posts == []
        monkeypatch.setenv("SSL_CERT_FILE", files["certfile"])
        trusting = Outbound(private=True, trust=trusted_authorities())
        assert (await trusting.post(there.url, {}, b"")).status == 204
        await trusting.close()


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </%s>\r\n\r\n" % (b"x" * 1_000)


async def test_what_stands_before_an_answer_is_bounded(calls: Outbound) -> None:
    """Informational answers have no end of their own."""
    fitting = outbound.MAX_RECEIVED_BYTES // len(HINT) - 1
    counts = [fitting, fitting + 10_000, fitting]

    async def hinting(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                for _ in range(counts.pop(0)):
                    await stream.send_all(HINT)
                await stream.send_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hinting, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        assert (await calls.post(url, {}, b"")).status == 204
        with pytest.raises(OutboundFailed, match="the connection broke"):
            await calls.post(url, {}, b"")
        assert (await calls.post(url, {}, b"")).status == 204
        nursery.cancel_scope.cancel()


def test_the_receivers_own_answers_are_not_kept() -> None:
    assert OutboundAnswer._fields == ("status", "retry_after")


async def test_the_receiver_of_these_tests_serves_one_request_after_another(
    calls: Outbound,
) -> None:
    async with receiver() as there:
        for _ in range(3):
            await calls.post(there.url, {}, b"")
        assert isinstance(there, Receiver)
        assert len(there.posts) == 3
