"""One Chromium for all tests that need one."""

from collections.abc import Iterator

import pytest

from tests.support.browser.chromium import Chromium, running_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    # a name that is not loopback to the pages, and still is to the machine
    with running_chromium("--host-resolver-rules=MAP relay.test 127.0.0.1") as browser:
        yield browser
