"""/docs shows both documents completely, without a credential or a script."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
import trio
from playwright.sync_api import sync_playwright

from tests.support.asyncapi import DOCUMENT, MESSAGES
from tests.support.openapi import operations
from tests.support.patience import PATIENCE
from tests.support.problems import PROBLEMS
from tests.support.programs import headless_chromium
from tests.support.relay_server import Relay, running_relay


class Outline(HTMLParser):
    """What of a page a test can hold it to: headings, names, links, what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if given.get("id"):
            self.names.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if tag == "link":
            self.loads.append(str(given["href"]))
        assert "style" not in given, "the policy forbids it"
        assert not [name for name in given if name.startswith("on")], "the policy forbids it"


async def read(relay: Relay) -> Outline:
    answer = await relay.http.get("/docs")
    assert answer.status_code == 200, answer.text
    assert not re.search(r"[.?!]\.(?=<)", answer.text), "a sentence ends once"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    again = await relay.http.get("/docs", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    return Outline(answer.text)


async def test_every_operation_and_message_is_shown_and_every_link_resolves(relay: Relay) -> None:
    outline = await read(relay)
    assert len(outline.names) == len(set(outline.names))
    calls = {operation["operationId"] for operation in operations().values()}
    messages = {f"message-{name}" for name in MESSAGES}
    channels = {f"channel-{name}" for name in DOCUMENT["channels"]}
    problems = {f"problem-{kind.sent_code()}" for kind in PROBLEMS.values()}
    problems -= {"problem-method_not_allowed"}  # no call answers it
    assert calls | messages | channels | problems <= set(outline.names)
    for link in outline.links:
        if link.startswith("#"):
            assert link[1:] in outline.names
        else:
            assert (await relay.http.get(link)).status_code == 200, link


async def test_the_page_loads_no_script_and_no_other_host(relay: Relay) -> None:
    outline = await read(relay)
    assert not outline.tags & {"script", "style", "iframe", "img", "form"}
    for address in outline.loads:
        assert address.startswith("/")
        assert (await relay.http.get(address)).status_code == 200, address


async def test_heading_levels_skip_none(relay: Relay) -> None:
    headings = (await read(relay)).headings
    assert headings.count(1) == 1
    assert headings[0] == 1
    for before, after in pairwise(headings):
        assert after <= before + 1


async def test_the_page_lists_every_close_code(relay: Relay) -> None:
    text = (await relay.http.get("/docs")).text
    for close in DOCUMENT["x-close-codes"]:
        assert re.search(rf">{close['code']}</th><td><code>{close['reason']}<", text)


def seen(url: str, width: int, chromium: str) -> dict[str, Any]:
    """What a browser without JavaScript makes of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=PATIENCE * 1000
        )
        context = browser.new_context(
            viewport={"width": width, "height": 800}, java_script_enabled=False
        )
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        asked: list[str] = []
        console: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: console.append(message.text))
        page.goto(f"{url}/docs#ingest")
        heading = page.locator("#ingest").bounding_box()
        body = page.locator("body").bounding_box()
        widest = max(box["width"] for box in map(_box, page.locator("main > *").all()))
        browser.close()
    return {"asked": asked, "said": console, "heading": heading, "body": body, "widest": widest}


def _box(element: Any) -> dict[str, float]:
    box: dict[str, float] = element.bounding_box()
    return box


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_width_cuts_the_page_off(database_url: str, width: int) -> None:
    async with running_relay(database_url) as relay:
        found = await trio.to_thread.run_sync(seen, relay.url, width, headless_chromium())
    assert found["said"] == []
    assert all(address.startswith(f"{relay.url}/") for address in found["asked"])
    assert 0 <= found["heading"]["y"] < 800, "the anchor leads to its call"
    assert found["widest"] <= width
