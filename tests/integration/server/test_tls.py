"""The same behaviour under TLS, where no bytes can bypass the encryption."""

import ssl
from typing import Any

import pytest
import trio
from wsproto.events import CloseConnection, TextMessage

from relay.server.limits import ConnectionLimits
from tests.support.certificates import self_signed
from tests.support.server.stage import Stage, get, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings for a server on 127.0.0.1 that vouches for itself."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def trusting(certificate: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate["certfile"])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_http_is_served_and_http_2_not_negotiated(
    stage: Stage, certificate: dict[str, Any]
) -> None:
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        client.secure(trusting(certificate))
        await client.send(get("/", "Connection: close"))
        assert isinstance(client.stream, trio.SSLStream)
        assert client.stream.selected_alpn_protocol() == "http/1.1"
        visit = await stage.visit()
        assert visit.scope["scheme"] == "https"
        await visit.respond(b"secure")
        visit.leave()
        assert (await client.rest()).endswith(b"secure")


async def test_ready_frames_go_the_ordinary_way(stage: Stage, certificate: dict[str, Any]) -> None:
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        client.secure(trusting(certificate))
        await client.send(client.handshake())
        visit = await stage.visit()
        await visit.accept()
        await client.accepted()
        assert not visit.handle.try_send(b"\x81\x05hello")
        await visit.handle.send_raw(b"\x81\x05hello")
        await visit.close(4401)
        visit.leave()
        assert await client.frame() == TextMessage("hello")
        assert await client.frame() == CloseConnection(4401, "")


async def test_a_reader_that_stalls_is_cut(stage: Stage, certificate: dict[str, Any]) -> None:
    limits = ConnectionLimits(send_timeout=0.2, close_timeout=0.2)
    async with serving(stage, limits=limits, **certificate) as server:
        client = await server.connect()
        client.secure(trusting(certificate))
        await client.send(get())
        visit = await stage.visit()
        await visit.start()
        await visit.body(bytes(20_000_000), more=True)
        assert visit.handle.stalled
        visit.leave()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
async def test_a_client_without_tls_harms_no_other(
    stage: Stage, certificate: dict[str, Any], sent: bytes
) -> None:
    async with serving(stage, ssl_handshake_timeout=0.1, **certificate) as server:
        await server.ask(sent)
        await server.observer.until(lambda: server.observer.live == 0)
