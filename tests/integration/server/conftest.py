"""Fixtures for the server layer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart_trio import QuartTrio

from tests.support.certificates import self_signed
from tests.support.client.connection import ClientConnection
from tests.support.server.echo import Echo, quart_echo
from tests.support.server.stage import Server, Stage, serving


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings for a server on 127.0.0.1 that vouches for itself."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with serving(stage) as running:
        yield running


@pytest.fixture(params=["plain", "TLS"])
async def either_server(
    request: pytest.FixtureRequest, stage: Stage, certificate: dict[str, Any]
) -> AsyncIterator[Server]:
    """Once without TLS and once with it."""
    async with serving(stage, **(certificate if request.param == "TLS" else {})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[ClientConnection]:
    """One whose messages come back as they were."""
    async with serving(Echo()) as server:
        client = await server.websocket()
        await client.accepted()
        yield client


@pytest.fixture
def quart() -> QuartTrio:
    return quart_echo()
