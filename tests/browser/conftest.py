"""One Chromium for all tests that need one."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, running_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser
