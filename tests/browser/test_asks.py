"""Programs ask with `relay ask`, and a person answers on the page: by a press, a key, a text."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.sync_api import Page, Route

from tests.support.asking import asking
from tests.support.browser.axe import PHONE, faults
from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.visits import (
    COOKIE,
    first_visit,
    is_live,
    press,
    session_of,
    tell,
    until,
)
from tests.support.browser.visits import user_of as id_of
from tests.support.databases import statement
from tests.support.relay_server import Relay, User

CHOICE = ("--options", "yes,no")
ELSEWHERE = "in another window or on another device"
# the questions from top to bottom, each with what became of it
CARDS = """[...document.querySelectorAll('.ask')].map((card) => [
  card.querySelector('.ask-question').textContent, card.dataset.state ?? 'open'])"""

# a page that is not looked at, and the notifications that it makes; without a push service
HIDDEN = """
  delete window.PushManager;
  window.notes = [];
  window.Notification = class {
    static permission = 'granted';
    static requestPermission = async () => 'granted';
    constructor(title, { body }) { this.title = title; window.notes.push([title, body]); }
    close() { window.notes.push([this.title, 'closed']); }
  };
  Object.defineProperty(document, 'hidden', { get: () => true });
"""


async def user_of(relay: Relay, profile: Profile) -> User:
    """The page's user, as a program's tests have it."""
    return User(relay, await id_of(relay, profile), await session_of(profile))


@asynccontextmanager
async def device_of(user: User, chromium: Chromium) -> AsyncIterator[Tab]:
    """The page on another device of the user."""
    async with chromium.profile() as profile:
        cookie = {"name": COOKIE, "value": user.session, "url": user.relay.url}
        await profile.do(lambda context: context.add_cookies([cookie]))  # type: ignore[list-item]
        tab = await profile.open(user.relay.url)
        await is_live(tab)
        yield tab


async def keys(tab: Tab, *names: str) -> None:
    for name in names:
        await tab.do(lambda page, key=name: page.keyboard.press(key))


def answers(tab: Tab) -> list[str]:
    """The requests with an answer that the page has made."""
    return [url for url in tab.requested if url.endswith("/answer")]


async def test_a_press_answers_and_the_log_has_both(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        await tell(relay, await user.hook(), "task_started", "t", title="Deploy to the north")
        details = '{"commit": "59677f0", "note": "<img src=x onerror=alert(1)>"}'
        words = ("Deploy <b>build 17</b>?", *CHOICE, "--task-id", "t", "--details", details)
        async with asking(user, *words, "--timeout", "15m") as asker:
            await until(tab, CARDS, [["Deploy <b>build 17</b>?", "open"]])
            await until(tab, "document.title", "1 needs you · Relay")
            await tab.shows("1 question needs you")
            await tab.shows("expires in 14 min")
            await tab.shows('"note": "<img src=x onerror=alert(1)>"')
            assert await tab.run("document.querySelectorAll('img, b').length") == 0
            assert await faults(tab) == []
            await tab.do(lambda page: page.set_viewport_size(PHONE))
            heights = "[...document.querySelectorAll('.ask-option')].map((it) => it.offsetHeight)"
            assert min(await tab.run(heights)) >= 44
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
            await tab.do(lambda page: page.locator(".ask-task").click())
            await until(tab, "location.hash", "#task=t")
            await tab.do(lambda page: page.locator(".ask-option", has_text="yes").click())
        assert (asker.code, asker.stdout) == (0, b"yes\n"), asker.stderr
        await tab.shows("You answered “yes”, ")
        await tab.shows("asks  Deploy <b>build 17</b>?  (yes / no)")
        await tab.shows("answered  yes")
        await until(tab, "document.title", "1 running · Relay")
        assert await faults(tab) == []
        assert tab.complaints == []


async def test_a_number_answers_the_question_with_the_focus_and_no_other(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile(requests=True) as profile:
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        async with (
            asking(user, "First?", *CHOICE) as first,
            asking(user, "Second?", *CHOICE, beside=1) as second,
        ):
            await until(tab, CARDS, [["First?", "open"], ["Second?", "open"]])
            await until(tab, "document.title", "2 need you · Relay")
            await keys(tab, "1", "2")  # nothing has the focus
            await tab.do(lambda page: page.get_by_label("Search the log").focus())
            await keys(tab, "a", "1")  # this is a text
            assert await tab.run("document.activeElement.value") == "a1"
            await tab.run("document.activeElement.blur()")
            assert answers(tab) == []
            await keys(tab, "a", "2")
            await tab.shows("You answered “no”, ")
            await keys(tab, "2", "1")  # the focus is still on the question that is over
            assert await tab.run("document.activeElement.dataset.state") == "answered"
            await until(tab, CARDS, [["First?", "answered"], ["Second?", "open"]])
            await keys(tab, "a", "1")
            await until(tab, CARDS, [["First?", "answered"], ["Second?", "answered"]])
        assert (first.code, first.stdout) == (1, b"no\n")
        assert (second.code, second.stdout) == (0, b"yes\n")
        assert len(answers(tab)) == 2
        assert tab.complaints == []


async def test_of_two_devices_the_first_answer_counts(relay: Relay, chromium: Chromium) -> None:
    held: list[Route] = []
    async with chromium.profile() as profile:
        slow = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        async with device_of(user, chromium) as quick:
            async with asking(user, "Deploy?", *CHOICE) as asker:
                await slow.do(lambda page: page.route("**/answer", lambda it: held.append(it)))
                await slow.do(lambda page: page.locator(".ask-option", has_text="no").click())
                await slow.shows("your answer is being sent")
                await slow.do(_until_held, held)
                await quick.do(lambda page: page.locator(".ask-option", has_text="yes").click())
                await quick.shows("You answered “yes”, ")
            assert (asker.code, asker.stdout) == (0, b"yes\n")
            first = f"“yes” was answered first, {ELSEWHERE}. Your answer does not count."
            await slow.shows(first)
            await slow.do(_continue_and_wait, held[0], 409)
            await slow.shows(first)
            async with asking(user, "Again?", *CHOICE):
                await until(slow, f"{CARDS}.at(-1)", ["Again?", "open"])
                await quick.do(lambda page: page.locator(".ask-option", has_text="no").click())
            await slow.shows(f"Answered “no” {ELSEWHERE}, ")
            assert quick.complaints == []


def _until_held(page: Page, held: list[Route]) -> None:
    while not held:
        page.wait_for_timeout(10)


def _continue_and_wait(page: Page, route: Route, status: int) -> None:
    with page.expect_response("**/api/asks/*/answer") as answer:
        route.continue_()
    assert answer.value.status == status


async def test_a_text_is_written_and_survives_a_reload_as_a_question(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        long = json.dumps("\n".join(f"+ line {n}" for n in range(30)))
        async with asking(user, "Which branch?", "--details", long, "--json") as asker:
            await until(tab, CARDS, [["Which branch?", "open"]])
            await tab.goto(relay.url)
            await until(tab, CARDS, [["Which branch?", "open"]])
            await press(tab, "Send")
            await tab.shows("Write an answer first.")
            await tab.do(lambda page: page.get_by_text("Details (30 lines)").click())
            await tab.shows("+ line 29")
            assert await faults(tab) == []
            await tab.do(lambda page: page.get_by_label("Which branch?").last.fill("release"))
            await keys(tab, "Shift+Enter", "2", "Enter")
        assert asker.code == 0
        assert json.loads(asker.stdout) == {"state": "answered", "answer": "release\n2"}
        await tab.shows("You answered “release 2”, ")
        assert tab.complaints == []


async def test_a_question_without_an_answer_ends_with_its_time_or_its_task(
    relay: Relay, chromium: Chromium, database_url: str
) -> None:
    async with chromium.profile(requests=True) as profile:
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        hook = await user.hook()
        await tell(relay, hook, "task_started", "t", title="Build")
        async with asking(user, "In time?", *CHOICE) as late:
            await until(tab, CARDS, [["In time?", "open"]])
            ours = f"WHERE user_id = '{user.user_id}'"
            await statement(database_url, f"UPDATE asks SET expires_at = now() {ours}")
        assert late.code == 124, late.stderr
        await tab.shows("Expired without an answer, ")
        await tab.shows("question expired without an answer")
        async with asking(user, "Still?", *CHOICE, "--task-id", "t") as withdrawn:
            await until(tab, f"{CARDS}.at(-1)", ["Still?", "open"])
            await tell(relay, hook, "task_succeeded", "t")
        assert withdrawn.code == 3, withdrawn.stderr
        await until(tab, CARDS, [["In time?", "expired"], ["Still?", "withdrawn"]])
        await tab.shows("its program no longer asks, or its task has ended.")
        assert answers(tab) == []
        assert tab.complaints == []


async def test_an_answer_is_to_what_was_shown(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        async with asking(user, "Delete the copy?", *CHOICE) as asker:
            read = (await user.call("GET", "/api/asks")).json()
            await tab.do(_read_another_question, read)
            await tab.goto(relay.url)
            await tab.shows("Delete all?")
            await tab.do(lambda page: page.locator(".ask-option", has_text="yes").click())
            await tab.shows("The question has changed, so your answer was not taken.")
            await until(tab, CARDS, [["Delete the copy?", "open"]])
            await tab.do(lambda page: page.locator(".ask-option", has_text="no").click())
        assert (asker.code, asker.stdout) == (1, b"no\n"), asker.stderr


def _read_another_question(page: Page, read: dict[str, Any]) -> None:
    asks = [ask | {"question": "Delete all?", "question_hash": "0" * 64} for ask in read["asks"]]
    page.route(re.compile(r"/api/asks\?"), lambda route: route.fulfill(json={"asks": asks}))


async def test_what_has_just_appeared_takes_no_press(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile(requests=True) as profile:
        tab = await profile.open("about:blank")
        await tab.do(lambda page: page.clock.install())
        await tab.goto(relay.url)
        await is_live(tab)
        user = await user_of(relay, profile)
        await tab.do(lambda page: page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1")))
        async with asking(user, "Deploy?", *CHOICE) as asker:
            drawn = "(page) => document.querySelector('.ask-option') !== null"
            while not await tab.run(drawn):
                await tab.do(lambda page: page.clock.run_for(50))
            place: dict[str, float] = await tab.run(
                "document.querySelector('.ask-option').getBoundingClientRect().toJSON()"
            )

            def click(page: Page) -> None:
                page.mouse.click(place["x"] + 8, place["y"] + 8)

            await tab.do(click)  # meant for what was there before
            assert answers(tab) == []
            await tab.do(lambda page: page.clock.run_for(1_000))
            await tab.do(click)
        assert asker.stdout == b"yes\n"


async def test_a_page_that_is_not_looked_at_notifies_of_a_question(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        await profile.do(lambda context: context.add_init_script(HIDDEN))
        tab = await first_visit(relay, profile)
        user = await user_of(relay, profile)
        await tell(relay, await user.hook(), "task_started", "t", title="Deploy to the north")
        await tab.shows("Deploy to the north")
        await tab.do(lambda page: page.locator("#notify").click())
        async with asking(user, "Deploy?", *CHOICE, "--task-id", "t"):
            await until(tab, "notes", [["Deploy?", "Deploy to the north"]])
            await until(tab, "document.title", "1 needs you · Relay")
            (ask,) = (await user.call("GET", "/api/asks")).json()["asks"]
            await user.call("DELETE", f"/api/asks/{ask['ask_id']}")
        await until(tab, "notes.at(-1)", ["Deploy?", "closed"])
        assert tab.complaints == []
