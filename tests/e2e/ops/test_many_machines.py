"""Several Relays behind haproxy or nginx as `ops/` configures them, and a Valkey between them."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import trio
import yaml

from relay.config.settings import Settings
from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, stream
from tests.support.commands import environment, running
from tests.support.ledger import Ledger
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program
from tests.support.relay_process import Program
from tests.support.relay_process import running as programs_running
from tests.support.reverse_proxies import OPS, Proxy, proxy, replaced
from tests.support.valkey_servers import Server, started

SCALE = OPS / "scale"
COMPOSE: dict[str, Any] = yaml.safe_load((SCALE / "compose.yaml").read_text())
NAMES = {field.metadata["name"] for field in Settings.__dataclass_fields__.values()}


def test_compose_names_settings_and_services_that_exist() -> None:
    services = COMPOSE["services"]
    relay = services["relay-1"]
    assert services["relay-2"] == relay
    names = set(relay["environment"])
    for value in relay["environment"].values():
        names |= set(re.findall(r"\$\{(\w+)", value))
    assert names <= NAMES | {"POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
    given = {
        name: re.sub(r"\$\{\w+:\?\}", "k1:" + "0" * 32 if "KEYS" in name else "secret", value)
        for name, value in relay["environment"].items()
        if ":-" not in value
    }
    settings = Settings.load(given)
    assert settings.backplane_url is not None
    assert [node.host for node in settings.backplane_url.hosts] == ["valkey"]
    assert "valkey" in services
    grace = int(relay["stop_grace_period"].rstrip("s"))
    assert grace > settings.drain_delay + settings.drain_timeout
    proxy = (SCALE / "haproxy.cfg").read_text()
    assert re.findall(r"server \S+ (\S+):8000\n", proxy) == ["relay-1", "relay-2"]
    every, misses = (int(found) for found in re.findall(r"inter (\d+)s fall (\d+)", proxy)[0])
    assert settings.drain_delay > every * misses
    assert (SCALE / relay["build"]["context"]).resolve() == OPS.parent


@asynccontextmanager
async def two_relays(
    folder: Path, database_url: str, front: int, **settings: str
) -> AsyncIterator[list[Program]]:
    relays = [Program(folder / name, database_url, **settings) for name in ("one", "two")]
    for one in relays:
        one.folder.mkdir()
        one.settings |= {
            "BASE_URL": f"http://127.0.0.1:{front}",
            "RELAY_TRUSTED_PROXIES": "1",
        }
    async with programs_running(*relays):
        yield relays


@asynccontextmanager
async def haproxy(folder: Path, front: int, relays: list[Program]) -> AsyncIterator[None]:
    changes = {"bind :8000": f"bind 127.0.0.1:{front}"}
    for number, one in enumerate(relays, 1):
        changes[f"relay-{number}:8000"] = f"127.0.0.1:{one.port}"
    site = folder / "haproxy.cfg"
    site.write_text(replaced((SCALE / "haproxy.cfg").read_text(), changes))
    async with running((program("haproxy"), "-db", "-f", str(site)), folder, environment()):
        async with httpx.AsyncClient() as http:
            await until_answered(http, f"http://127.0.0.1:{front}/readyz", 200)
        yield


async def until_answered(http: httpx.AsyncClient, url: str, status: int) -> httpx.Response:
    """Ask until the answer has this status; haproxy may be away, or lose a Relay meanwhile."""
    with trio.fail_after(PATIENCE):
        while True:
            with suppress(httpx.TransportError):
                if (answer := await http.get(url)).status_code == status:
                    return answer
            await trio.sleep(LOOK_EVERY)


def through(valkey: Server) -> dict[str, str]:
    return {"RELAY_BACKPLANE_URL": f"valkey://:secret@127.0.0.1:{valkey.port}"}


async def posts_arrive(front: int, account: Account, first: int) -> None:
    """Three posts through haproxy reach a stream of each kind through haproxy, in their order."""
    async with AsyncExitStack() as stack, Caller(front) as caller:
        streams = [
            await stack.enter_async_context(stream(front, transport, account.session, insist=True))
            for transport in TRANSPORTS
        ]
        for opened in streams:
            await opened.hello()
        for number in range(3):
            body = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": number}
            answer = await caller.insist(
                "POST", "/api/webhook/cli", account.hook, json.dumps(body).encode()
            )
            assert answer.status == 200
        for opened in streams:
            seqs = [event["seq"] for event in await opened.events(3)]
            assert seqs == [first, first + 1, first + 2]


async def test_haproxy_leads_to_relays_that_are_ready(tmp_path: Path, database_url: str) -> None:
    """With the command of compose.yaml's Valkey, and haproxy's file with other addresses."""
    port, words = HeldPort(), COMPOSE["services"]["valkey"]["command"][1:]
    options = [word.replace("${VALKEY_PASSWORD:?}", "secret") for word in words]
    valkey, front = Server("valkey", tmp_path, *options), port.number
    with started(valkey):
        async with (
            two_relays(tmp_path, database_url, front, **through(valkey)) as relays,
            haproxy(tmp_path, front, relays),
        ):
            account = await Ledger(relays[0]).enrol("u", [])
            await posts_arrive(front, account, 1)
            for one in relays:
                await one.shows("relay_backplane_up", lambda up: up == 1)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{front}") as http:
                assert (await http.get("/metrics")).status_code == 404
                await relays[0].kill()
                await posts_arrive(front, account, 4)
                await relays[1].kill()
                away = await until_answered(http, "/readyz", 503)
                assert away.headers["Content-Type"] == "application/problem+json"
                assert (away.json()["code"], away.headers["Retry-After"]) == ("unavailable", "2")


async def posted(caller: Caller, account: Account, number: int) -> None:
    body = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": number}
    answer = await caller.insist(
        "POST", "/api/webhook/cli", account.hook, json.dumps(body).encode()
    )
    assert answer.status == 200


def two_behind(front: Proxy, second: Program, folder: Path) -> list[Program]:
    """Two Relays where nginx looks for them, of which the first one has room for one stream."""
    first = Program(folder / "first", second.settings["DATABASE_URL"], RELAY_MAX_CONNECTIONS="1")
    first.port, first.url = front.relay_port, f"http://127.0.0.1:{front.relay_port}"
    for one in (first, second):
        one.folder.mkdir()
        one.settings |= {**front.settings, "RELAY_BIND": f"127.0.0.1:{one.port}"}
    return [first, second]


async def test_nginx_goes_on_to_a_relay_that_takes_the_request(
    tmp_path: Path, database_url: str
) -> None:
    """With a second Relay in both groups of nginx's file."""
    second = Program(tmp_path / "second", database_url)
    changes = {"# server 10.0.0.2:8000": f"server 127.0.0.1:{second.port}"}
    async with (
        proxy("nginx", tmp_path, changes) as front,
        programs_running(*(relays := two_behind(front, second, tmp_path))),
        AsyncExitStack() as stack,
    ):
        port = int(front.url.rpartition(":")[2])
        account = await Ledger(second).enrol("u", [])
        caller = await stack.enter_async_context(Caller(port))
        streams = [
            await stack.enter_async_context(stream(port, "sse", account.session)) for _ in range(4)
        ]
        for opened in streams:  # none was refused, though the first Relay refused some
            await opened.hello()
        shares = [await one.metric("relay_connected_sockets") for one in relays]
        assert shares == [1, 3]
        for number in range(8):
            await posted(caller, account, number)
        for opened in streams:
            assert [event["seq"] for event in await opened.events(8)] == list(range(1, 9))
        await relays[0].kill()
        for number in range(8):
            await posted(caller, account, number)
        await second.kill()
        async with front.client() as http:
            away = await until_answered(http, f"{front.url}/readyz", 503)
            assert (away.json()["code"], away.headers["Retry-After"]) == ("unavailable", "2")
            for one in relays:
                await one.start()
            await until_answered(http, f"{front.url}/readyz", 200)
        await posts_arrive(port, account, 17)
