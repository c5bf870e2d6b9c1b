"""A task and a line have addresses, a head shows all of a task, earlier lines come as needed."""

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page

from tests.support.browser.axe import PHONE, faults
from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.log_rows import CURRENT, LINES, shows_rows
from tests.support.browser.visits import first_visit, hook_of, press, publish, tell, until
from tests.support.relay_server import Relay

ODD = "a+b&c#%"  # an id that an address must not lose
TITLE = "Train the ranker on the whole of last year, with the new features and the longer window"
LATER = 6_000  # events of no task, behind those of the task
LINE = {"event_type": "log", "ts": "2026-01-31T12:00:00Z"}
HEAD = "document.getElementById('task-head').innerText"


async def a_long_day(relay: Relay, hook: str) -> None:
    """A task with a parent and a child, and then thousands of other lines."""
    await tell(relay, hook, "task_started", "nightly", title="Nightly")
    await tell(relay, hook, "task_started", ODD, title=TITLE, parent_id="nightly")
    await tell(relay, hook, "task_started", "child", title="The child", parent_id=ODD)
    for number in range(4):
        await tell(relay, hook, "log", ODD, message=f"word {number}")
        await tell(relay, hook, "task_progress", ODD, metrics={"loss": 1 / (number + 1)})
    await tell(relay, hook, "task_failed", ODD, exit_code=2, metrics={"loss": 0.25})
    later = [{**LINE, "payload": {"message": f"later {n}"}} for n in range(LATER)]
    await publish(relay, hook, later)


async def pick(tab: Tab, title: str) -> None:
    await tab.do(
        lambda page: page.locator("#cards").get_by_role("button", name=title, exact=True).click()
    )


async def test_a_task_has_an_address_a_head_and_all_its_lines(
    relay: Relay, chromium: Chromium, tmp_path: Path
) -> None:
    lines = ["started", *(f"word {n}" for n in range(4)), "failed  exit 2"]
    async with chromium.profile(accept_downloads=True) as profile:
        tab = await first_visit(relay, profile)
        await a_long_day(relay, await hook_of(relay, profile))
        await tab.goto(relay.url)  # which reads the last thousand events
        await tab.shows(f"later {LATER - 1}")
        await pick(tab, TITLE)
        await shows_rows(tab, lines, LINES)
        address = f"{relay.url}/#task={quote(ODD, safe='')}"
        assert await tab.run("location.href") == address
        await until(tab, f"{HEAD}.includes('0.25 to 1')")
        head = await tab.run(HEAD)
        for part in (TITLE, "Failed", "started ", "exit 2", "Part of Nightly"):
            assert part in head
        await tab.do(lambda page: page.get_by_role("link", name="The child (running)").wait_for())
        assert await faults(tab) == []

        def download(page: Page) -> bytes:
            with page.expect_download() as loading:
                page.get_by_role("link", name="Download log").click()
            loading.value.save_as(tmp_path / "log")
            return (tmp_path / "log").read_bytes()

        assert await tab.do(download) == b"word 0\nword 1\nword 2\nword 3\n"

        await tab.do(lambda page: page.get_by_role("link", name="Nightly").click())
        await shows_rows(tab, ["started"], LINES)
        assert await tab.run("location.hash") == "#task=nightly"
        await tab.do(lambda page: page.go_back())
        await shows_rows(tab, lines, LINES)
        await tab.do(lambda page: page.reload())
        await shows_rows(tab, lines, LINES)
        pressed = "document.querySelector('#cards [aria-pressed=true]')?.textContent"
        await until(tab, pressed, TITLE)
        await tab.do(lambda page: page.go_back())
        await tab.shows(f"later {LATER - 1}")
        assert await tab.run("location.href") == f"{relay.url}/"
        assert await tab.do(lambda page: page.locator("#task-head").is_hidden())

        await tab.goto("about:blank")  # as from elsewhere
        await tab.goto(f"{relay.url}/#task=of-no-task")
        await tab.shows("Relay knows no task of this id any more.")
        await press(tab, "All tasks")
        await tab.shows(f"later {LATER - 1}")
        assert tab.complaints == []


async def test_a_line_has_an_address_and_earlier_ones_come_by_scrolling(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await a_long_day(relay, await hook_of(relay, profile))
        await tab.goto(relay.url)
        await tab.shows(f"later {LATER - 1}")
        late = f"later {LATER - 5}"
        row = f".row:has(.words:text-is('{late}'))"
        await tab.do(lambda page: page.locator(f"{row} .at").click())
        await until(tab, CURRENT, late)
        seq = LATER - 5 + 13
        assert await tab.run("location.hash") == f"#line={seq}"
        await tab.do(lambda page: page.reload())
        await until(tab, CURRENT, late)
        await tab.shows("Paused")

        early = "later 4000"  # which a page load does not read
        await tab.goto(f"{relay.url}/#line={4_000 + 13}")
        await until(tab, CURRENT, early)
        middle = """(() => {
          const row = document.querySelector('.row.current').getBoundingClientRect();
          const log = document.getElementById('lines').getBoundingClientRect();
          return row.top > log.top && row.bottom < log.bottom;
        })()"""
        assert await tab.run(middle)

        first = f"JSON.stringify({LINES}).includes('later 0')"
        up = "document.getElementById('lines').scrollTop = 0"
        await tab.run(f"void setInterval(() => {{ {up}; }}, 20)")
        await until(tab, first)  # up to where it all began
        await until(tab, f"{LINES}.slice(0, 2)", ["started", "started"])
        assert tab.complaints == []


async def test_back_on_a_phone_leads_from_a_task_to_the_board(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await tab.do(lambda page: page.set_viewport_size(PHONE))
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "build", title=TITLE)
        await tell(relay, hook, "log", "build", message="a word")
        await tab.shows(TITLE)
        await pick(tab, TITLE)
        await shows_rows(tab, ["started", "a word"], LINES)
        assert await tab.do(lambda page: page.locator("#cards").is_hidden())
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert await faults(tab) == []
        await tab.do(lambda page: page.set_viewport_size(PHONE))
        await tab.do(lambda page: page.go_back())
        await tab.do(lambda page: page.locator("#cards").wait_for())
        assert await tab.run("location.hash") == ""
        assert tab.complaints == []
