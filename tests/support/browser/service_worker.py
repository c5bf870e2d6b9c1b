"""The page's service worker in Chromium: messages are delivered to it as a push service does.

What a person does with a notification is dispatched in the worker, because a browser without a
window shows none. Only the browser's own presses may open a window, so that is noted instead.
"""

from typing import Any, Self

import trio
from playwright.sync_api import BrowserContext, Page

from tests.support.browser.chromium import Profile, Tab
from tests.support.patience import LOOK_EVERY, PATIENCE

# Chromium forgets a notification that it is about to show when it is asked for those it shows.
# So it is not asked meanwhile.
COUNT_SHOWING = """() => {
  const show = registration.showNotification.bind(registration);
  self.showing = 0;
  registration.showNotification = async (...given) => {
    self.showing += 1;
    try { return await show(...given); } finally { self.showing -= 1; }
  };
}"""
SHOWN = """() => self.showing === 0 && registration.getNotifications().then((all) => all.map(
  ({ title, body, tag, actions: buttons }) => (
    { title, body, tag, actions: buttons.map((one) => one.title) })))"""
PRESS = """async ([tag, button]) => {
  const [notification] = await registration.getNotifications({ tag });
  const action = button && notification.actions.find(({ title }) => title === button).action;
  self.opened = [];
  self.clients.openWindow = async (url) => { self.opened.push(url); return null; };
  self.dispatchEvent(new NotificationEvent('notificationclick', { notification, action }));
}"""


async def notifying(profile: Profile, url: str) -> None:
    """Let the pages of an origin show notifications."""
    await profile.do(lambda it: it.grant_permissions(["notifications"], origin=url))


class ServiceWorker:
    """The worker of a page's origin."""

    def __init__(self, profile: Profile, tab: Tab, debugger: Any, registration: str) -> None:
        self._profile = profile
        self._tab = tab
        self._debugger = debugger
        self._registration = registration

    @classmethod
    async def of(cls, profile: Profile, tab: Tab) -> Self:
        """That of the page in a tab, once it is registered."""
        found: list[dict[str, Any]] = []

        def watch(page: Page) -> Any:
            debugger = page.context.new_cdp_session(page)
            debugger.on(
                "ServiceWorker.workerRegistrationUpdated",
                lambda event: found.extend(event["registrations"]),
            )
            debugger.send("ServiceWorker.enable")
            page.evaluate("navigator.serviceWorker.ready.then(() => true)")
            while not found:
                page.wait_for_timeout(10)
            return debugger

        debugger = await tab.do(watch)
        worker = cls(profile, tab, debugger, found[-1]["registrationId"])
        await worker._run(COUNT_SHOWING)
        return worker

    async def push(self, message: str) -> None:
        """Deliver a message that is decrypted already."""

        def deliver(page: Page) -> None:
            origin = page.evaluate("location.origin")
            fields = {"origin": origin, "registrationId": self._registration, "data": message}
            self._debugger.send("ServiceWorker.deliverPushMessage", fields)

        await self._tab.do(deliver)

    async def shown(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many notifications are shown."""
        with trio.fail_after(PATIENCE):
            while True:
                found = await self._run(SHOWN)
                if found is not False and len(found) == count:
                    return list(found)
                await trio.sleep(LOOK_EVERY)

    async def press(self, tag: str, button: str = "") -> None:
        """Press a notification, or one of its buttons."""
        await self._run(PRESS, [tag, button])

    async def opened(self) -> list[str]:
        """The windows that the last press wanted."""
        with trio.fail_after(PATIENCE):
            while not (found := await self._run("() => self.opened")):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        return list(found)

    async def _run(self, script: str, argument: Any = None) -> Any:
        def run(context: BrowserContext) -> Any:
            return context.service_workers[-1].evaluate(script, argument)

        return await self._profile.do(run)
