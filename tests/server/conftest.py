"""Fixtures for the server layer."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.server.stage import LAYERS, Server, Stage, layer_in_use, serving


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both layers in turn; a module whose promises hold for both uses it for all its tests."""
    token = layer_in_use.set(request.param)
    yield request.param
    layer_in_use.reset(token)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with serving(stage) as running:
        yield running
