"""Fixtures for the server layer."""

from collections.abc import AsyncIterator

import pytest
from quart_trio import QuartTrio

from tests.support.client.connection import ClientConnection
from tests.support.server.echo import Echo, quart_echo
from tests.support.server.stage import Server, Stage, serving


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with serving(stage) as running:
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
