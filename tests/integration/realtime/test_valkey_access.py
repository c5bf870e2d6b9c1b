"""What a Valkey asks of Relay to let it in, and what others there can do with it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hiredis
import pytest
import trio

from relay.background.health import ProcessHealth
from relay.config.parsers import signing_keys
from relay.config.settings import SettingError, Settings
from relay.db.source import Source
from relay.realtime.notification import Notification
from relay.realtime.sealing import Sealer
from relay.realtime.valkey.names import Names
from relay.services import build_services
from tests.support.backplanes import kept_alive, member_of, met, without_pauses
from tests.support.certificates import self_signed
from tests.support.patience import eventually
from tests.support.ports import HeldPort
from tests.support.settings import POSTGRES
from tests.support.tokens import KEYS
from tests.support.valkey_servers import ENGINES, Cluster, Server, started


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A single server of the test's own."""
    server = Server("valkey", tmp_path)
    with started(server):
        yield server


async def test_over_tls_both_sides_show_a_certificate(tmp_path: Path) -> None:
    """The wheel's Valkey is built without TLS; the other engine has it."""
    files = self_signed(tmp_path)
    certificate, key, port = files["certfile"], files["keyfile"], HeldPort()
    options = {
        **{"--tls-port": str(port.number), "--tls-auth-clients": "yes"},
        **{"--tls-cert-file": certificate, "--tls-key-file": key},
        "--tls-ca-cert-file": certificate,
    }
    flat = [part for option in options.items() for part in option]
    trusting = f"valkeys://127.0.0.1:{port.number}?ca_file={certificate}"
    url, me = f"{trusting}&cert_file={certificate}&key_file={key}", uuid4()
    with started(Server("redis", tmp_path, *flat)):
        async with member_of(url) as one, member_of(url) as two, two.attending(me):
            await met(one, two)
            one.announce(me, 1, payload='"' + "x" * 200_000 + '"')
            await eventually(lambda: two.heard_of(me) == [1])
        for other in (
            trusting,
            f"rediss://127.0.0.1:{port.number}",
            f"valkeys://localhost:{port.number}",
        ):
            async with member_of(other) as stranger:
                assert stranger.backplane._nodes.connection_of(0) is None  # type: ignore[attr-defined]


def test_without_its_parser_the_start_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("relay.realtime.valkey")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hiredis", None)
    given = {"DATABASE_URL": POSTGRES, "RELAY_SIGNING_KEYS": KEYS}
    settings = Settings.load({**given, "RELAY_BACKPLANE_URL": "valkey://one"})
    source = Source(POSTGRES, POSTGRES, settings.signing_keys, "", None, shared=True)
    with pytest.raises(SettingError, match=r"needs .* relay-streams\[valkey\]"):
        build_services(settings, source, "http://one", None, ProcessHealth(lambda: True))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_user_with_these_permissions_alone_is_enough(engine: str, tmp_path: Path) -> None:
    """The permissions are those of docs/how-to/run-on-many-machines.md."""
    page = (Path(__file__).parents[3] / "docs/how-to/run-on-many-machines.md").read_text()
    (rules,) = re.findall(r"^ *(ACL SETUSER relay .*)", page, flags=re.MULTILINE)
    cluster, me = Cluster(engine, tmp_path), uuid4()
    with started(cluster):
        for server in cluster.servers:
            server.ask(*rules.replace("PASSWORD", "se:cr/et").split())
            server.ask("ACL", "SETUSER", "default", "off")
        url = cluster.url.replace("://", "://relay:se%3Acr%2Fet@")
        async with member_of(url) as one, member_of(url) as two, two.attending(me):
            await met(one, two)
            one.announce(me, 1)
            await eventually(lambda: two.heard_of(me) == [1])
            await eventually(lambda: one.backplane.watchers(me) == 1)
        async with member_of(cluster.url) as stranger:
            assert stranger.backplane._nodes.connection_of(0) is None  # type: ignore[attr-defined]


async def test_other_programs_on_the_server_can_neither_read_nor_forge_events(
    server: Server,
) -> None:
    me, names = uuid4(), Names("relay")
    channel = names.of_user(me).channel
    overheard: list[list[object]] = []
    async with (
        member_of(server.url) as one,
        member_of(server.url) as two,
        two.attending(me),
        await trio.open_tcp_stream("127.0.0.1", server.port) as line,
        trio.open_nursery() as nursery,
    ):

        async def overhear() -> None:
            reader = hiredis.Reader()
            while data := await line.receive_some(65_536):
                reader.feed(data)
                while reply := reader.gets():
                    overheard.append(reply)

        await met(one, two)
        await line.send_all(b"SSUBSCRIBE " + channel + b"\r\n")
        nursery.start_soon(overhear)
        await eventually(lambda: len(overheard) == 1)  # that it is subscribed
        one.announce(me, 1, payload='"between us"')
        await eventually(lambda: two.heard_of(me) == [1] and len(overheard) == 2)
        sealed = overheard[1][-1]
        assert isinstance(sealed, bytes)
        assert b"between us" not in sealed
        assert str(me).encode() not in sealed
        two.missed.clear()
        text = Notification(uuid4(), revoked={me}).encode_bytes()
        stranger = Sealer(signing_keys(f"k1:{'x' * 32}"), uuid4())
        changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        for times, forged in enumerate((text, stranger.seal_bytes(text), changed, b""), 1):
            await publish(server, channel, forged)
            await eventually(lambda: two.missed == [me] * times)  # noqa: B023
        looked = two.everything
        await publish(server, names.everyone, stranger.seal_bytes(text))
        await eventually(lambda: two.everything == looked + 1)
        assert (two.heard_of(me), me in two.revoked) == ([1], False)
        nursery.cancel_scope.cancel()


async def publish(server: Server, channel: bytes, message: bytes) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as line:
        await line.send_all(hiredis.pack_command((b"SPUBLISH", channel, message)))  # type: ignore[arg-type]
        assert (await line.receive_some(100)).startswith(b":")
