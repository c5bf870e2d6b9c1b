"""The charts of a task's numbers: last, least and greatest value, live, and a part of the time."""

import json
from typing import Any

from playwright.sync_api import Page

from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium
from tests.support.browser.log_rows import keys
from tests.support.browser.visits import first_visit, hook_of, tell, until
from tests.support.databases import statement
from tests.support.relay_server import Relay

# a minute between two values
MINUTES = "UPDATE events SET received_at = now() - interval '1 hour' + seq * interval '1 minute'"
CHARTS = """[...document.querySelectorAll('#head-charts .chart')].map((chart) =>
  ['.chart-name', 'strong', '.chart-range'].map((part) => chart.querySelector(part).textContent))"""
PART = "document.getElementById('head-zoom').checkVisibility()"
PATH = "document.querySelector('#head-charts path').getAttribute('d')"


async def test_charts_move_on_and_a_part_of_them_stays(
    relay: Relay, chromium: Chromium, database_url: str
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        once = {"step": 123456, "share": 0.123456789}
        await tell(relay, hook, "task_started", "train", title="Train", metrics=once)
        values = [9, 1, 1, 3, 4, 4, 9, 5, 7]
        for value in values:
            await tell(relay, hook, "task_progress", "train", metrics={"loss": value, "top": 0})
        await tell(relay, hook, "log", "train", message="the last word")
        await statement(database_url, MINUTES)
        await tab.goto(f"{relay.url}/#task=train")
        await tab.do(lambda page: page.reload())

        async def shows(*charts: list[str]) -> None:
            wanted: Any = list(charts)
            await until(tab, CHARTS, wanted)

        await shows(["loss", "7", "1 to 9"], ["top", "0", "0 to 0"])
        facts = "document.getElementById('head-facts')"
        assert (await tab.run(f"{facts}.textContent")).endswith("step 123456 · share 0.123457")
        assert await tab.run(f"{facts}.title") == "step: 123456\nshare: 0.123456789"
        assert (
            await tab.run("document.querySelector('.chart figcaption').title") == "loss: 7 (1 to 9)"
        )
        assert await tab.run("document.querySelector('.chart svg').clientWidth") > 200
        assert await faults(tab) == []
        whole = await tab.run(PATH)

        def drag(page: Page, start: float, end: float) -> None:
            box = page.locator("#head-charts svg").first.bounding_box()
            assert box is not None
            y = box["y"] + box["height"] / 2
            page.mouse.move(box["x"] + box["width"] * start, y)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y)
            page.mouse.move(box["x"] + box["width"] * end, y)
            page.mouse.up()

        # a part of the past stays where it is
        await tab.do(drag, 1.5 / 8, 4.5 / 8)
        await shows(["loss", "7", "1 to 4"], ["top", "0", "0 to 0"])
        assert await tab.run(PART)
        part = await tab.run(PATH)
        assert part != whole
        assert await faults(tab) == []
        await tell(relay, hook, "task_progress", "train", metrics={"loss": 20})
        await shows(["loss", "20", "1 to 4"], ["top", "0", "0 to 0"])
        assert await tab.run(PATH) == part

        await tab.do(lambda page: page.get_by_role("button", name="Show all of it").click())
        await shows(["loss", "20", "1 to 20"], ["top", "0", "0 to 0"])
        assert not await tab.run(PART)

        # a part at the end moves on with it
        await tab.do(lambda page: page.locator("#head-charts").focus())
        await keys(tab, "+", "+")
        await until(tab, PART)
        live = await tab.run(PATH)
        await tell(relay, hook, "task_progress", "train", metrics={"loss": 30})
        await until(tab, f"{PATH} !== {json.dumps(live)} && {CHARTS}[0][1] === '30'")
        await keys(tab, "ArrowLeft", "-", "Escape")
        await shows(["loss", "30", "1 to 30"], ["top", "0", "0 to 0"])
        assert tab.complaints == []
