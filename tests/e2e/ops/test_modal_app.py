"""The Modal deployment, as far as it can be tested without an account.

It imports, Modal takes its declarations, they say what we mean, and what it starts serves.
"""

import importlib.util
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import modal
import pytest
import trio

from relay.config.parsers import duration
from relay.config.settings import Settings
from tests.support.commands import SLOW, environment
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay

ROOT = Path(__file__).parents[3]
CUT_AFTER = 150  # seconds: Modal ends every request then
GRACE = 30  # seconds Modal grants a container's exit
MOST_INPUTS = 1000  # that Modal lets into one container
KEYS = f"k1:{'0' * 32}"

Declared = dict[str, dict[str, Any]]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("modal_app", ROOT / "modal_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def deployed() -> ModuleType:
    return load()


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Declared:
    """What the file tells Modal, in Modal's own words; Modal itself still checks all of it."""
    calls: Declared = {}

    def listening(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def heard(*args: Any, **kwargs: Any) -> Any:
            calls[name] = {**kwargs, "args": args}
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, heard)

    listening(modal.App, "cls")
    listening(modal, "concurrent")
    listening(modal, "web_server")
    listening(modal.Secret, "from_name")
    listening(modal.Image, "run_commands")
    load()
    return calls


def test_streams_end_themselves_well_before_modal_cuts_them(
    deployed: ModuleType, declared: Declared
) -> None:
    age = duration(1, CUT_AFTER)(deployed.SETTINGS["RELAY_STREAM_MAX_AGE"])
    assert age <= CUT_AFTER - 10
    assert declared["cls"]["timeout"] > CUT_AFTER


def test_a_container_takes_no_more_than_it_can_hold(
    deployed: ModuleType, declared: Declared
) -> None:
    settings = Settings.load(deployed.environment({}))
    most = declared["concurrent"]["max_inputs"]
    assert settings.max_connections < most <= MOST_INPUTS
    assert declared["concurrent"]["target_inputs"] < settings.max_connections
    # WebSockets come without their client's address: its bounds must not be reached before these
    assert settings.max_connections_per_address >= settings.max_connections
    assert settings.rate_handshakes.burst >= settings.max_connections
    assert settings.trusted_proxies == 1


def test_the_number_of_containers_is_bounded_by_the_database(
    declared: Declared,
) -> None:
    assert declared["cls"]["min_containers"] == 1
    each = Settings().database_connections + 2  # LISTEN and a migration beside the pool
    assert declared["cls"]["max_containers"] * each + 8 < 100  # Postgres' own default


def test_the_secret_has_the_required_settings(declared: Declared) -> None:
    required = declared["from_name"]["required_keys"]
    assert declared["from_name"]["args"] == ("relay",)
    address = "postgresql://relay@db.example/relay"
    given = {"DATABASE_URL": address, "RELAY_SIGNING_KEYS": KEYS, "BASE_URL": "https://a.example"}
    assert set(required) == set(given)
    Settings.load(given)
    # every name it sets is a setting
    assert set(load().SETTINGS) <= {
        field.metadata["name"] for field in Settings.__dataclass_fields__.values()
    }


def test_the_secret_takes_precedence_over_modals_defaults(deployed: ModuleType) -> None:
    chosen = deployed.environment({"RELAY_STREAM_MAX_AGE": "60s"})
    assert chosen["RELAY_STREAM_MAX_AGE"] == "60s"


def test_modal_forwards_to_the_port_that_relay_listens_on(
    deployed: ModuleType, declared: Declared
) -> None:
    (port,) = declared["web_server"]["args"]
    assert deployed.command(port)[-1] == f"0.0.0.0:{port}"
    assert declared["web_server"]["startup_timeout"] >= 30


def test_the_image_is_built_from_what_the_container_image_is(
    deployed: ModuleType, declared: Declared
) -> None:
    dockerfile = (ROOT / "ops" / "container" / "Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert set(deployed.FILES) | set(deployed.FOLDERS) == copied
    assert all((ROOT / name).is_file() for name in deployed.FILES)
    assert all((ROOT / name).is_dir() for name in deployed.FOLDERS)
    (install,) = declared["run_commands"]["args"][1:]
    assert install == "pip install -c /src/constraints.txt '/src[server]'"


class Container:
    """What Modal does in a container, in its order: enter, requests, exit."""

    def __init__(self, deployed: ModuleType) -> None:
        plain = deployed.Server._get_user_cls()
        self.it = plain()
        self._steps = {name: vars(plain)[name]._get_raw_f() for name in ("start", "serve", "stop")}

    def call(self, step: str) -> None:
        self._steps[step](self.it)


@asynccontextmanager
async def container(
    deployed: ModuleType, monkeypatch: pytest.MonkeyPatch, database_url: str, **settings: str
) -> AsyncIterator[tuple[Container, Relay]]:
    """A container that serves, with these settings; ended after the block."""
    port = HeldPort()
    url = f"http://127.0.0.1:{port.number}"
    secret = {"DATABASE_URL": database_url, "RELAY_SIGNING_KEYS": KEYS, "BASE_URL": url}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    for name, value in {**secret, **SLOW, "PATH": programs, **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(deployed, "PORT", port.number)
    monkeypatch.setattr(deployed, "STOP_TIMEOUT_SECONDS", PATIENCE)
    container = Container(deployed)
    container.call("start")
    try:
        container.call("serve")
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            await ready(http)
            yield container, Relay(url, http)
    finally:
        if container.it.relay.poll() is None:
            container.it.relay.kill()
            container.it.relay.wait()


async def test_a_container_ends_its_streams_by_their_age(
    deployed: ModuleType, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    age = {"RELAY_STREAM_MAX_AGE": "1s"}
    async with container(deployed, monkeypatch, database_url, **age) as (_, relay):
        user = await relay.user()
        async with user.websocket() as websocket, user.sse() as sse:
            for stream in (websocket, sse):
                close = await stream.control("close")
                assert (close["code"], close["reason"]) == (1012, "max_age")


async def test_a_container_that_ends_drains(
    deployed: ModuleType, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    async with container(deployed, monkeypatch, database_url) as (served, relay):
        user = await relay.user()
        async with user.websocket() as stream:
            await stream.hello()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, served.call, "stop")
                assert (await stream.control("close"))["reason"] == "restart"
        assert served.it.relay.returncode == 0


async def ready(http: httpx.AsyncClient) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await trio.sleep(LOOK_EVERY)


async def test_a_relay_that_does_not_end_is_ended_within_the_grace(
    deployed: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert 2 * Settings().drain_timeout < deployed.STOP_TIMEOUT_SECONDS < GRACE
    ready = tmp_path / "ready"
    deaf = (
        "import pathlib, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f" pathlib.Path({str(ready)!r}).touch(); signal.pause()"
    )
    monkeypatch.setattr(deployed, "STOP_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(deployed, "command", lambda _: [sys.executable, "-c", deaf])
    container = Container(deployed)
    container.call("start")
    await eventually(ready.exists)
    await trio.to_thread.run_sync(container.call, "stop")
    assert container.it.relay.returncode == -signal.SIGKILL
