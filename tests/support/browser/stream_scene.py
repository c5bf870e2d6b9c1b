"""A page of another site that reads a user's stream, over a network that breaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.browser.chromium import Chromium, Profile
from tests.support.browser.foreign_site import elsewhere
from tests.support.browser.page_proxy import PageProxy, relay_behind
from tests.support.browser.readers import Reader, reader
from tests.support.relay_server import Relay, User

SHOW = """(shown) => {
  Object.defineProperty(document, 'hidden', { value: !shown, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
"""Show or hide a page, as another tab in front of it does."""


@dataclass
class Scene:
    """A page elsewhere, a box on the way, a Relay, and a user whose stream is read."""

    page: str
    box: PageProxy
    relay: Relay
    user: User
    profile: Profile

    async def reads(self, *credentials: str, **options: Any) -> Reader:
        given = credentials or (self.user.session,)
        options = {"after": "oldest", **options}
        return await reader(self.profile, self.page, self.relay, *given, **options)

    async def publish(self, count: int) -> int:
        """Where the stream stands then."""
        return int((await self.user.publish(count))[-1]["seq"])


@asynccontextmanager
async def staged(
    database_url: str, chromium: Chromium, host: str = "127.0.0.1"
) -> AsyncIterator[Scene]:
    with elsewhere() as pages:
        async with (
            relay_behind(database_url, host, CORS=pages.cross_site) as (box, relay),
            chromium.profile(requests=True) as profile,
        ):
            yield Scene(pages.cross_site, box, relay, await relay.user(), profile)


def upto(last: int) -> list[int]:
    return list(range(1, last + 1))
