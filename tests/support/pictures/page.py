"""The live page in every state that the documentation shows, by a real Chromium."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import trio
from playwright.sync_api import Page

from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.visits import COOKIE
from tests.support.pictures import story
from tests.support.relay_process import Program
from tests.support.relay_server import bearer

ADDRESS = "http://127.0.0.1:8000"  # where `make run` listens
SCHEMES = ("light", "dark")
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SHARPNESS = 1.5  # pixels a pixel: as sharp as a page of documentation shows it
WEBP = {"format": "webp", "quality": 80}  # letters stay sharp, and each file below 200 kB
PNG = {"format": "png"}
SETTLED = 0.2  # seconds until what was drawn is on the glass
SAME_EPOCH = """() => {
  const shown = document.getElementById('cursor');
  shown.textContent = shown.textContent.replace(/^\\w+/, '7c2f4a');
}"""
OFFERED = "if (location.protocol !== 'about:') localStorage.setItem('relay.offered', 'yes');"
PLACES = ("laptop", "ci", "trainer-2")  # that have a token


def arguments(relay: Program) -> tuple[str, ...]:
    """What Chromium is started with: this Relay is at ADDRESS for it."""
    return f"--host-resolver-rules=MAP 127.0.0.1:8000 127.0.0.1:{relay.port}", "--hide-scrollbars"


class Studio:
    """Takes the pictures of one colour scheme."""

    def __init__(
        self,
        chromium: Chromium,
        relay: Program,
        folder: Path,
        kind: dict[str, Any],
        scheme: str,
    ) -> None:
        self._chromium = chromium
        self._relay = relay
        self._folder = folder
        self._kind = kind
        self._scheme = scheme

    async def take_all(self) -> None:
        await self._first_visit()
        await self._afternoon()
        await self.question()
        await self.offer()
        await self._pocket()

    async def _first_visit(self) -> None:
        async with self._visitor(DESK) as profile:
            tab = await self._open(profile, 1)
            await self._take(tab, "first-visit")
            await tab.do(lambda page: page.click("#first-token"))
            await tab.shows("shown once")
            await self._take(tab, "first-token")

    async def _afternoon(self) -> None:
        async with self._visitor(DESK) as profile:
            tab = await self._page_of_the_story(profile)
            await self._take(tab, "live")
            await self._log(tab)
            await self._dialogs(tab)
            await self._away(tab)

    async def question(self) -> None:
        """A program asks, above the board."""
        async with self._visitor(DESK) as profile:
            tab = await self._page_of_the_story(profile)
            session = (await profile.cookies())[COOKIE]
            async with httpx.AsyncClient(base_url=self._relay.url, headers=bearer(session)) as http:
                hook = (await _post(http, "/api/token", name="agent"))["token"]
                await story.ask(tab, http, hook)
            await story.pass_by(tab, 1_000)  # the board is drawn once a second
            await self._take(tab, "question")

    async def offer(self) -> None:
        """After the first task has ended: to tell this device."""
        async with self._visitor(DESK, offered=False) as profile:
            await profile.do(lambda it: it.grant_permissions(["notifications"]))
            tab = await self._page_of_the_story(profile)
            await tab.shows("Tell me on this device")
            await self._take(tab, "notify-offer")

    async def _pocket(self) -> None:
        async with self._visitor(PHONE) as profile:
            tab = await self._page_of_the_story(profile)
            await self._take(tab, "phone-tasks")
            await tab.do(lambda page: page.get_by_role("button", name="Log", exact=True).click())
            await self._take(tab, "phone-log")

    async def _log(self, tab: Tab) -> None:
        """One task's lines, searched."""
        await tab.do(lambda page: page.get_by_role("button", name="Train").first.click())
        await self._search(tab, "epoch")
        await self._take(tab, "log")
        await self._search(tab, "")
        await tab.do(lambda page: page.get_by_role("button", name="Train").first.click())

    async def _dialogs(self, tab: Tab) -> None:
        await tab.do(lambda page: page.click("#open-tokens"))
        await tab.shows("trainer-2")
        await self._take(tab, "tokens")
        await tab.do(lambda page: page.keyboard.press("Escape"))
        await story.add_channels(tab)
        await tab.do(lambda page: page.click("#open-channels"))
        await tab.shows("Last delivery")
        await self._take(tab, "channels")
        await tab.do(lambda page: page.keyboard.press("Escape"))
        await tab.do(lambda page: page.click("#open-device"))
        await tab.do(lambda page: page.get_by_alt_text("QR code").wait_for())
        await self._take(tab, "second-device")
        await tab.do(lambda page: page.keyboard.press("Escape"))
        await tab.run("document.activeElement.blur()")  # it went back to the button

    async def _away(self, tab: Tab) -> None:
        """Relay is stopped under the page, and there again for the next picture."""
        self._relay.process.terminate()
        await self._relay.ended(10)
        await tab.shows("trying again")
        await self._take(tab, "away")
        await self._relay.start()

    @asynccontextmanager
    async def _visitor(
        self, window: dict[str, Any], *, offered: bool = True
    ) -> AsyncIterator[Profile]:
        """A browser that was offered notifications before, or will be."""
        async with self._chromium.profile(
            **window,
            device_scale_factor=SHARPNESS,
            color_scheme=self._scheme,
            reduced_motion="reduce",  # what turns would stand elsewhere each time
            locale="en-GB",
            timezone_id="UTC",
        ) as profile:
            await profile.do(lambda context: context.add_init_script(story.CLOCK))
            if offered:
                await profile.do(lambda context: context.add_init_script(OFFERED))
            before = story.NOW - timedelta(hours=1)
            await profile.do(lambda context: context.clock.install(time=before))
            yield profile

    async def _open(self, profile: Profile, ago: float) -> Tab:
        """The live page, its clock standing so many seconds before now."""
        then = story.NOW - timedelta(seconds=ago)
        await profile.do(lambda context: context.clock.pause_at(then))
        tab = await profile.open(ADDRESS)
        await tab.do(lambda page: page.locator("#link[data-state=live]").wait_for())
        return tab

    async def _page_of_the_story(self, profile: Profile) -> Tab:
        """The page at the story's end, of which it saw the last minute live."""
        async with httpx.AsyncClient(base_url=self._relay.url) as http:
            session = (await _post(http, "/api/user"))["session_token"]
            http.headers.update(bearer(session))
            await profile.do(
                lambda context: context.add_cookies(
                    [{"name": COOKIE, "value": session, "url": ADDRESS}]
                )
            )
            hooks = [(await _post(http, "/api/token", name=name))["token"] for name in PLACES]
            reference = await profile.open(f"{ADDRESS}/docs")
            beats = await story.beats(reference)
            await reference.do(lambda page: page.close())
            await profile.do(lambda context: context.add_init_script(story.times(beats)))
            past = [beat for beat in beats if beat.at <= -story.LIVE]
            await story.publish(http, hooks[0], past)
            tab = await self._open(profile, story.LIVE)
            await story.play(tab, http, hooks[0], beats[len(past) :])
        return tab

    async def _search(self, tab: Tab, words: str) -> None:
        await tab.do(lambda page: page.fill("#search", words))
        await story.pass_by(tab, 200)  # it waits for the next letter

    async def _take(self, tab: Tab, name: str) -> None:
        await story.pass_by(tab, 100)
        await tab.run(SAME_EPOCH)
        await trio.sleep(SETTLED)
        picture = await tab.do(lambda page: _shot(page, self._kind))
        path = self._folder / f"{name}-{self._scheme}.{self._kind['format']}"
        await trio.Path(path).write_bytes(picture)


def _shot(page: Page, kind: dict[str, Any]) -> bytes:
    """By the browser's own protocol, which knows WebP."""
    session = page.context.new_cdp_session(page)
    try:
        clip = {"x": 0, "y": 0, **(page.viewport_size or {}), "scale": SHARPNESS}
        taken = session.send("Page.captureScreenshot", {**kind, "clip": clip})
        return base64.b64decode(taken["data"])
    finally:
        session.detach()


async def _post(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await http.post(path, json=body or None)
    made: dict[str, Any] = answer.raise_for_status().json()
    return made
