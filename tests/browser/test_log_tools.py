"""Lines are wrapped on demand, and copied with or without their times."""

import re

from tests.support.browser.axe import PHONE, faults
from tests.support.browser.chromium import Chromium
from tests.support.browser.log_rows import CURRENT, LINES, keys, shows_rows
from tests.support.browser.visits import (
    first_visit,
    hook_of,
    meanwhile,
    press,
    tell,
    until,
)
from tests.support.relay_server import Relay

WIDE = " ".join(f"word{number}" for number in range(80))
FITS = "lines.scrollWidth <= lines.clientWidth"
COPY = "document.getElementById('{}').textContent"
TIMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  Build  (.*)")


async def test_lines_are_wrapped_on_demand(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "log", "build", message=f"{WIDE}\nshort", stream="stderr")
        await tell(relay, hook, "log", "build", message="漢字 " * 60 + "\x1b[31mred\x1b[0m")
        await until(tab, f"!({FITS})")
        await press(tab, "Wrap")
        await until(tab, FITS)
        parts = await tab.run(LINES)
        short = parts.index("short")
        assert short > 2
        assert "".join(parts[:short]) == WIDE
        assert "".join(parts[short + 1 :]) == "漢字 " * 60 + "red"
        inside = """[...document.querySelectorAll('.row-line:not([hidden]) .words')]
          .every((words) => words.getBoundingClientRect().right <= lines.clientWidth + 500)"""
        assert await tab.run(inside)
        assert await faults(tab) == []

        # what is found in a part, and what an address names, is whole
        await tab.do(lambda page: page.get_by_label("Search the log").fill("word79"))
        await keys(tab, "Enter")
        await until(tab, "document.querySelector('.row.current mark')?.textContent", "word79")
        await until(tab, "document.querySelectorAll('.row.current:not([hidden])').length > 2")
        await tab.do(lambda page: page.get_by_label("Search the log").fill(""))
        await shows_rows(tab, parts, LINES)
        await tab.do(lambda page: page.reload())
        await shows_rows(tab, parts, LINES)  # the choice is kept
        await press(tab, "Wrap")
        await until(tab, f"{LINES}[0]", WIDE)
        assert tab.complaints == []
    async with chromium.profile(viewport=PHONE) as profile:
        tab = await first_visit(relay, profile)
        await tell(relay, await hook_of(relay, profile), "log", "build", message=WIDE)
        await press(tab, "Log")
        await until(tab, f"{LINES}.length > 5 && {FITS}")  # without being asked
        await tab.do(lambda page: page.locator(".row-line:visible .words").first.click())
        await until(tab, "document.querySelector('.unfolded .words')?.textContent", WIDE)
        await tab.do(lambda page: page.locator(".unfolded .at").click())
        await until(tab, CURRENT, WIDE)
        assert await tab.run("location.hash") == "#line=1"
        assert tab.complaints == []


async def test_lines_are_copied_with_or_without_times(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile(permissions=["clipboard-read", "clipboard-write"]) as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "build", title="Build")
        await tell(relay, hook, "log", "build", message="\x1b[32mone\x1b[0m\ntwo")
        await shows_rows(tab, ["started", "one", "two"], LINES)
        async with meanwhile(tab, f"{COPY.format('copy-log')} === 'Copied'"):
            await press(tab, "Copy")
        copied = "navigator.clipboard.readText()"
        assert await tab.run(copied) == "started\none\ntwo"
        async with meanwhile(tab, f"{COPY.format('copy-times')} === 'Copied'"):
            await press(tab, "with times")
        found = [TIMED.fullmatch(line) for line in (await tab.run(copied)).split("\n")]
        assert [line and line[1] for line in found] == ["started", "one", "two"]
        await tab.shows("with times")
        assert tab.complaints == []
