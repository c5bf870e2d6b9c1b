"""A real Chromium for trio tests: Playwright's blocking calls, all on one thread of their own.

    async with chromium.profile() as profile:
        tab = await profile.open(relay.url)
        await tab.do(lambda page: page.click("#demo"))

While a call waits, the server under test goes on. What a tab complained of since it was opened
stands in `tab.complaints`; what it asked for in `tab.requested`, if the profile records that.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import trio
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.support import programs
from tests.support.patience import PATIENCE
from tests.support.start import deaf_children

T = TypeVar("T")

LOOK_EVERY = 50
"""Milliseconds between two looks of a page at itself. Unless asked, Playwright has it look at each
frame, and so draw each: a second of waiting takes 100 ms of CPU then, and else 20."""

# Playwright keeps a function, but evaluates an expression again for each look. The pages' policy
# forbids that from the second look on.
LOOK = "(it) => {{ const holds = ({}); return typeof holds === 'function' ? holds(it) : holds; }}"

# Chromium takes the last list alone, so this one begins with Playwright's.
DISABLED_FEATURES = (
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose"),
    *("HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter"),
    *("PaintHolding", "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect"),
    *("OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch"),
    # a process that is started for each tab in case another one follows: a third of the CPU
    "SpareRendererForSitePerProcess",
)


class Tab:
    """One page."""

    def __init__(self, chromium: "Chromium", page: Page, requests: bool) -> None:
        self._chromium = chromium
        self._page = page
        self.complaints: list[str] = []  # errors of scripts and on the console
        self._requested: list[str] | None = None
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if requests:
            found = self._requested = []
            page.on("request", lambda request: found.append(request.url))

    @property
    def requested(self) -> list[str]:
        """Every address it asked for."""
        assert self._requested is not None, "its profile records no requests"
        return self._requested

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def do(self, what: Callable[..., T], *arguments: Any) -> T:
        """Anything Playwright can: a call with the page and these arguments."""
        return await self._chromium.call(what, self._page, *arguments)

    async def goto(self, url: str) -> None:
        await self.do(lambda page: page.goto(url))

    async def run(self, script: str, argument: Any = None) -> Any:
        """What a script of the page's own gives; a promise is awaited."""
        return await self.do(lambda page: page.evaluate(script, argument))

    async def eventually(self, holds: str, argument: Any = None) -> None:
        """Wait until an expression, or a function of the argument, gives something true."""
        look = LOOK.format(holds)
        await self.do(lambda page: page.wait_for_function(look, arg=argument, polling=LOOK_EVERY))

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Its scripts stand still for as long as the block lasts, as those of a frozen tab do."""
        debugger = await self.do(lambda page: page.context.new_cdp_session(page))
        await self.do(lambda _: debugger.send("Debugger.enable"))
        await self.do(lambda _: debugger.send("Debugger.pause"))
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await self.do(lambda _: debugger.detach())

    async def shows(self, text: str) -> None:
        """Wait until the page has this text, visibly."""
        await self.do(lambda page: page.get_by_text(text).first.wait_for())


class Profile:
    """A browser's memory, empty at the start: only its tabs share cookies."""

    def __init__(self, chromium: "Chromium", context: BrowserContext, requests: bool) -> None:
        self._chromium = chromium
        self._context = context
        self._requests = requests

    async def do(self, what: Callable[[BrowserContext], T]) -> T:
        return await self._chromium.call(what, self._context)

    async def open(self, url: str) -> Tab:
        tab = await self.do(lambda context: Tab(self._chromium, context.new_page(), self._requests))
        await tab.goto(url)
        return tab

    async def cookies(self) -> dict[str, str]:
        jar = await self.do(lambda context: context.cookies())
        return {cookie["name"]: cookie["value"] for cookie in jar}


class Chromium:
    """The browser, and the only thread that may speak with it."""

    def __init__(
        self, thread: ThreadPoolExecutor, browser: Browser, options: dict[str, Any]
    ) -> None:
        self._thread = thread
        self._browser = browser
        self._options = options  # of each profile, unless it has others

    async def call(self, what: Callable[..., T], *arguments: Any) -> T:
        return await trio.to_thread.run_sync(self._thread.submit(what, *arguments).result)

    @asynccontextmanager
    async def profile(self, *, requests: bool = False, **options: Any) -> AsyncIterator[Profile]:
        """`options` are Playwright's, of a context: window, colours, language.

        With `requests` its tabs record what they ask for. Unheard, that costs a visit nothing;
        heard, it is a third of what the visit costs this process.
        """
        given = {**self._options, **options}
        context = await self.call(lambda: self._browser.new_context(**given))
        try:
            await self.call(context.set_default_timeout, PATIENCE * 1000)
            yield Profile(self, context, requests)
        finally:
            with trio.CancelScope(shield=True):
                await self.call(context.close)


@contextmanager
def running_chromium(
    *arguments: str, path: str | None = None, **options: Any
) -> Iterator[Chromium]:
    """The browser at `path`, or one as people use it. `options` are those of each profile."""
    path = path or programs.chromium()
    with ThreadPoolExecutor(1, "chromium") as thread:
        with deaf_children():
            playwright = thread.submit(sync_playwright().start).result()
        try:
            browser = thread.submit(
                playwright.chromium.launch,
                executable_path=path,
                timeout=PATIENCE * 1000,
                # CI runs as root, and loads nothing but its own pages
                args=[
                    "--no-sandbox",
                    f"--disable-features={','.join(DISABLED_FEATURES)}",
                    *arguments,
                ],
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            ).result()
            yield Chromium(thread, browser, options)
            thread.submit(browser.close).result()
        finally:
            thread.submit(playwright.stop).result()
