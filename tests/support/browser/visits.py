"""Visits to Relay's own page: its user, and events of that user's producer."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from playwright.sync_api import Page, TimeoutError

from tests.support.browser.chromium import Profile, Tab
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer

COOKIE = "relay_session"
FIRST_WORDS = "Start something in a terminal."
WATCH = """() => {{
  window.held = false;
  const watch = new MutationObserver(() => {{ if ({}) window.held = true; }});
  watch.observe(document.body, {{ subtree: true, childList: true, characterData: true }});
}}"""


async def first_visit(relay: Relay, profile: Profile) -> Tab:
    tab = await profile.open(relay.url)
    await tab.shows(FIRST_WORDS)
    return tab


async def session_of(profile: Profile) -> str:
    return (await profile.cookies())[COOKIE]


async def user_of(relay: Relay, profile: Profile) -> str:
    me = await relay.http.get("/api/me", headers=bearer(await session_of(profile)))
    found: str = me.json()["user_id"]
    return found


async def hook_of(relay: Relay, profile: Profile) -> str:
    """A hook token of the page's user."""
    return await hook_for(relay, await session_of(profile))


async def hook_for(relay: Relay, session: str) -> str:
    answer = await relay.http.post("/api/token", headers=bearer(session))
    made: str = answer.json()["token"]
    return made


async def tell(relay: Relay, hook: str, kind: str, task: str | None = None, **payload: Any) -> None:
    event: dict[str, Any] = {"event_type": kind, "ts": "2026-01-31T12:00:00Z", "payload": payload}
    if task is not None:
        event["task_id"] = task
    answer = await relay.http.post("/api/webhook/cli", json=event, headers=bearer(hook))
    assert answer.status_code == 200, answer.text


async def say(relay: Relay, hook: str, message: str) -> None:
    await tell(relay, hook, "log", message=message)


async def publish(relay: Relay, hook: str, events: list[dict[str, Any]]) -> None:
    """Post many events, a thousand in a request."""
    headers = {**bearer(hook), "Content-Type": "application/x-ndjson"}
    for first in range(0, len(events), 1_000):
        body = "\n".join(map(json.dumps, events[first : first + 1_000]))
        answer = await relay.http.post("/api/webhook/cli", content=body, headers=headers)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def meanwhile(tab: Tab, script: str) -> AsyncIterator[None]:
    """What is done in the block makes this true of the page's texts, if only for a while."""
    await tab.run(WATCH.format(script))
    yield
    await tab.eventually("held")


async def is_live(tab: Tab) -> None:
    """Wait until its connection is."""
    await tab.do(lambda page: page.locator("#link[data-state=live]").wait_for())


async def until(tab: Tab, script: str, wanted: Any = True) -> None:
    """Wait until the script gives this."""
    equal = f"(it) => JSON.stringify({script}) === it"
    text = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)
    try:
        await tab.eventually(equal, text)
    except TimeoutError:
        assert await tab.run(script) == wanted, script
        raise


async def press(tab: Tab, name: str) -> None:
    await tab.do(lambda page: page.get_by_role("button", name=name, exact=True).first.click())


async def shown_link(tab: Tab) -> str:
    """Open the dialog of the second device, and take the link as its button would."""

    def look(page: Page) -> str:
        with page.expect_response("**/api/session/link") as answer:
            page.get_by_label("Open on another device").first.click()
        page.get_by_alt_text("QR code of the link").wait_for()
        link: str = answer.value.json()["link"]
        return link

    return await tab.do(look)


async def watchers(relay: Relay, session: str, count: int) -> None:
    """Wait until that many streams of the session's user are open."""
    with trio.fail_after(PATIENCE):
        while True:
            me = await relay.http.get("/api/me", headers=bearer(session))
            if me.json()["connections"] == count:
                return
            await trio.sleep(0.05)
