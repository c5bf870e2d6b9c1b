"""The log in blocks: titles and stripes of tasks, days, folds, and what leads into a fold."""

from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium
from tests.support.browser.log_rows import CURRENT, ROWS, keys, shows_rows
from tests.support.browser.visits import first_visit, hook_of, tell, until
from tests.support.databases import statement
from tests.support.relay_server import Relay

TITLE = "Train the ranker on the whole of last year, with the new features and the longer window"
MANY = 2_500  # lines of one task in a row
STRIPES = """Object.fromEntries([...document.querySelectorAll('.row-title:not([hidden])')]
  .map((row) => [row.textContent, getComputedStyle(row, '::before').backgroundColor]))"""
YESTERDAY = "UPDATE events SET received_at = received_at - interval '1 day' WHERE seq <= 4"
LONG_AGO = "UPDATE events SET received_at = '2025-12-24T12:00:00Z' WHERE seq <= 2"


async def test_titles_and_days_stand_above_their_lines(
    relay: Relay, chromium: Chromium, database_url: str
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "train", title=TITLE)
        await tell(relay, hook, "log", "train", message="one\ntwo")
        await tell(relay, hook, "log", "train", message="three")
        await tell(relay, hook, "task_started", "build", title="Build")
        await tell(relay, hook, "log", message="of none")
        await tell(relay, hook, "log", "train", message="four")
        rows = [TITLE, "started", "one", "two", "three", "Build", "started"]
        rows += ["Lines of no task", "of none", TITLE, "four"]
        await shows_rows(tab, rows)
        stripes = await tab.run(STRIPES)
        assert len(set(stripes.values())) == 3  # the lines of no task have none
        assert stripes["Lines of no task"] == "rgba(0, 0, 0, 0)"
        numbers = """[...document.querySelectorAll('.row-line:not([hidden], .same-event) .at')]
          .map((link) => [link.querySelector('.line-number').textContent, link.hash])"""
        linked = [[str(seq), f"#line={seq}"] for seq in range(1, 7)]
        assert sorted(await tab.run(numbers)) == linked
        assert await faults(tab) == []

        await tab.do(lambda page: page.locator(".row-title a", has_text=TITLE).first.click())
        await shows_rows(tab, [*rows[1:5], "four"])
        assert await tab.run("location.hash") == "#task=train"
        await tab.do(lambda page: page.go_back())
        await shows_rows(tab, rows)

        await statement(database_url, YESTERDAY)
        await statement(database_url, LONG_AGO)
        await tab.do(lambda page: page.reload())
        days = """[...document.querySelectorAll('.row-day:not([hidden])')]
          .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
          .map((row) => /2025/.test(row.textContent))"""
        await until(tab, days, [True, False, False])
        order = await tab.run(ROWS)
        assert [order.index("started"), order.index("three"), order.index("of none")] == [2, 6, 11]
        assert tab.complaints == []


async def test_a_long_block_is_folded_and_hides_no_line_that_is_looked_for(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "build", title="Build")
        for first in range(0, MANY, 10):
            lines = "\n".join(f"step {number:04}" for number in range(first, first + 10))
            await tell(relay, hook, "log", "build", message=lines)
        await tell(relay, hook, "log", "other", message="the last word")
        await tab.shows("the last word")
        height = "lines.scrollHeight / document.querySelector('.row:not([hidden])').offsetHeight"
        assert await tab.run(height) < 1_200
        await tab.do(lambda page: page.locator("#block-title", has_text="Build").wait_for())
        title = tab.do(lambda page: page.locator("#block-title").get_attribute("href"))
        assert await title == "#task=build"

        # an address of a line in it
        await tab.goto(f"{relay.url}/#line=42")  # "step 0400" and those after it
        await until(tab, CURRENT, "step 0400")
        assert await tab.run(f"{ROWS}.includes('step 0399') && {ROWS}.includes('step 0410')")
        await tab.do(lambda page: page.reload())
        await until(tab, CURRENT, "step 0400")

        # a search
        await tab.goto(f"{relay.url}/#task=build")
        await tab.shows("Following")
        await until(tab, f"{ROWS}.includes('step {MANY - 1}')")
        await tab.do(lambda page: page.get_by_label("Search the log").fill("step 05"))
        await until(tab, "found.textContent", "100 lines")
        await keys(tab, "Enter", "Enter")
        await until(tab, CURRENT, "step 0501")
        await tab.do(lambda page: page.get_by_label("Search the log").fill(""))
        await until(tab, f"{ROWS}.includes('step {MANY - 1}')")

        # its button, by keys
        await tab.run("void (lines.scrollTop = 1_600)")
        fold = tab.do(lambda page: page.get_by_role("button", name="more lines").text_content())
        assert str(await fold).startswith("Show 1,")
        assert await faults(tab) == []
        await tab.do(lambda page: page.get_by_role("button", name="more lines").focus())
        await keys(tab, "Enter")
        await until(tab, f"{ROWS}.includes('step 0100')")
        assert await tab.run("document.activeElement.id") == "lines"
        assert await tab.run(height) > MANY
        await tell(relay, hook, "log", "build", message="another")
        await tab.shows("1 new line")
        await keys(tab, "End")
        await until(tab, f"{ROWS}.includes('another')")
        assert await tab.run(height) > MANY  # it stays open
        assert tab.complaints == []
