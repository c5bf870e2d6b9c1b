"""One Chromium for all tests that need one."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.browser.chromium import Chromium, running_chromium
from tests.support.browser.stream_scene import Scene, staged
from tests.support.programs import headless_chromium
from tests.support.push_service.fixtures import push_packages, pushing

__all__ = ["chromium", "push_packages", "pushing", "scene"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    # a name that is not loopback to the pages, and still is to the machine
    resolves = "--host-resolver-rules=MAP relay.test 127.0.0.1"
    path = headless_chromium()
    # nothing moves by itself: each frame is drawn by the CPU, which takes a quarter of one a page
    with running_chromium(resolves, path=path, reduced_motion="reduce") as browser:
        yield browser


@pytest.fixture
async def scene(database_url: str, chromium: Chromium) -> AsyncIterator[Scene]:
    async with staged(database_url, chromium) as ready:
        yield ready
