"""Fixtures for the server layer."""

from collections.abc import AsyncIterator

import pytest

from tests.support.server.stage import Server, Stage, serving


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with serving(stage) as running:
        yield running
