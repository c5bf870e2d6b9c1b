"""Relay behind nginx and behind Caddy, for tests of either."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.reverse_proxies import PROXIES, Proxy, proxy


@pytest.fixture(params=PROXIES)
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxy(request.param, tmp_path, {}) as found:
        yield found
