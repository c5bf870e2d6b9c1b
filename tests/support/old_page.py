"""A page of an earlier version that stays open while Relay is upgraded.

    python -m tests.support.old_page CHECKOUT

The page and its modules come from a Relay of that checkout, everything else from a Relay of this
one. The page meets the events that Relay writes of an ask, and shows what comes after them.
Exit code 0: it does.
"""

# ruff: noqa: ASYNC240 - a look at a folder delays nothing here

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import trio
from playwright.sync_api import Route

from tests.support.browser.chromium import DISABLED_FEATURES, Profile, running_chromium
from tests.support.browser.visits import COOKIE, is_live
from tests.support.client_tour import ask_and_answer
from tests.support.commands import RELAY, environment, running
from tests.support.patience import PATIENCE
from tests.support.relay_server import bearer

# Chromium does not know that a page which is handed to it comes from this machine, too.
FEATURES = (*DISABLED_FEATURES, "LocalNetworkAccessChecks")
LOG = {"event_type": "log", "ts": "2026-01-31T12:00:00Z"}


@asynccontextmanager
async def served(folder: Path, checkout: Path | None = None) -> AsyncIterator[str]:
    """The address of a Relay, of this checkout or another one, with a database of its own."""
    folder.mkdir()
    settings = {"PYTHONPATH": str(checkout)} if checkout else {}
    command = (*RELAY, "serve", "--bind", "127.0.0.1:0")
    async with running(command, folder, environment(**settings)) as server:
        yield await server.url()


async def take_page_from(profile: Profile, old: str) -> None:
    """Requests for the page and its modules go to the old Relay."""

    def fetch(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/" or path.startswith("/console/"):
            route.fulfill(response=route.fetch(url=f"{old}{path}"))
        else:
            route.continue_()

    await profile.do(lambda context: context.route("**/*", fetch))


async def visit(old: str, new: str) -> None:
    """Raises AssertionError if the page complains of anything."""
    async with httpx.AsyncClient(base_url=new, timeout=PATIENCE) as http:
        session = (await http.post("/api/user")).json()["session_token"]
        hook = (await http.post("/api/token", headers=bearer(session))).json()["token"]

        async def log(message: str) -> None:
            event = LOG | {"payload": {"message": message}}
            answer = await http.post("/api/webhook/cli", json=event, headers=bearer(hook))
            assert answer.status_code == 200, answer.text

        with running_chromium(f"--disable-features={','.join(FEATURES)}") as chromium:
            async with chromium.profile() as profile:
                await profile.do(
                    lambda context: context.add_cookies(
                        [{"name": COOKIE, "value": session, "url": new}]
                    )
                )
                await take_page_from(profile, old)
                await log("before the first ask")
                await ask_and_answer(http, hook, session)  # a page that loads reads them
                tab = await profile.open(new)
                await is_live(tab)
                await tab.shows("before the first ask")
                await ask_and_answer(http, hook, session)  # and one that is live hears them
                await log("after the second ask")
                await tab.shows("after the second ask")
                assert tab.complaints == [], tab.complaints


async def main(checkout: Path) -> None:
    with TemporaryDirectory(prefix="relay-") as temporary:
        folder = Path(temporary)
        async with served(folder / "old", checkout) as old, served(folder / "new") as new:
            await visit(old, new)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]).resolve())
