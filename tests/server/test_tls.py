"""The same promises under TLS, where bytes cannot be written past the encryption."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from wsproto.events import CloseConnection, TextMessage

from relay.server.guard import GuardLimits
from tests.server.stage import Stage, get, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings for a server on 127.0.0.1 that vouches for itself."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return {"certfile": str(folder / "cert.pem"), "keyfile": str(folder / "key.pem")}


def trusting(certificate: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate["certfile"])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_http_is_served_and_http_2_not_negotiated(
    stage: Stage, certificate: dict[str, str]
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


async def test_ready_frames_go_the_ordinary_way(stage: Stage, certificate: dict[str, str]) -> None:
    async with serving(stage, **certificate) as server:
        client = await server.connect()
        client.secure(trusting(certificate))
        await client.send(client.handshake())
        visit = await stage.visit()
        await visit.accept()
        await client.accepted()
        assert not visit.transport.try_send(b"\x81\x05hello")
        await visit.transport.send_raw(b"\x81\x05hello")
        await visit.close(4401)
        visit.leave()
        assert await client.frame() == TextMessage("hello")
        assert await client.frame() == CloseConnection(4401, "")


async def test_a_reader_that_stalls_is_cut(stage: Stage, certificate: dict[str, str]) -> None:
    limits = GuardLimits(send_timeout=0.2, close_timeout=0.2)
    async with serving(stage, limits=limits, **certificate) as server:
        client = await server.connect()
        client.secure(trusting(certificate))
        await client.send(get())
        visit = await stage.visit()
        await visit.start()
        await visit.body(bytes(20_000_000), more=True)
        assert visit.transport.stalled
        visit.leave()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
async def test_who_does_not_speak_tls_harms_nobody(
    stage: Stage, certificate: dict[str, str], said: bytes
) -> None:
    async with serving(stage, ssl_handshake_timeout=0.1, **certificate) as server:
        await server.ask(said)
        await server.observer.until(lambda: server.observer.live == 0)
