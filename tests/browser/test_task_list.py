"""The list of tasks: in groups, as wide as one likes, with numbers on cards, and for fingers."""

from typing import Any

from playwright.sync_api import Page

from tests.support.browser.axe import DESKTOP, PHONE, faults
from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.visits import (
    first_visit,
    hook_of,
    is_live,
    press,
    publish,
    tell,
    until,
)
from tests.support.relay_server import Relay

# from top to bottom: each title, and what its group says, if it stands for one
ROWS = """[...document.querySelectorAll('#cards > li')].map((row) => [
  row.querySelector('.title').textContent,
  row.querySelector('.runs').hidden ? '' : row.querySelector('.open-group').textContent])"""
FOCUSED = "document.activeElement.textContent"
WIDTH = "document.getElementById('task-width').ariaValueNow"
FITS = "document.documentElement.scrollWidth <= innerWidth"
# what can be pressed with a finger and is lower than 44 pixels; links within text are no controls
SMALL = """[...document.querySelectorAll('button, input, select, a')]
  .filter((one) => one.checkVisibility() && !one.closest('.lines-frame a, .row, p, dd'))
  .filter((one) => {
    const { left, width, top, bottom } = one.getBoundingClientRect();
    const [across, middle] = [left + width / 2, (top + bottom) / 2];
    const missed = (y) => {
      const there = document.elementFromPoint(across, y);
      return !one.contains(there) && !there?.closest('label')?.contains(one);
    };
    const reach = (step) => {
      let far = 0;
      while (Math.abs(far) < 44 && !missed(middle + far)) far += step;
      return Math.abs(far);
    };
    one.reached = reach(-0.5) + reach(0.5);
    return bottom > 0 && middle < innerHeight && !missed(middle) && one.reached < 44;
  }).map((one) => `${one.reached} ${one.outerHTML.slice(0, 120)}`)"""


def ended(task_id: str, seconds: float, title: str, **payload: Any) -> list[dict[str, Any]]:
    failed = "exit_code" in payload
    named = {"task_id": task_id, "ts": "2026-01-31T12:00:00Z"}
    start = {"title": title} | {k: v for k, v in payload.items() if k == "parent_id"}
    return [
        {**named, "event_type": "task_started", "payload": start},
        {
            **named,
            "event_type": "task_failed" if failed else "task_succeeded",
            "payload": {"duration_s": seconds, **payload},
        },
    ]


async def keys(tab: Tab, *names: str) -> None:
    def pressed(page: Page) -> None:
        for name in names:
            page.keyboard.press(name)

    await tab.do(pressed)


async def group(tab: Tab, by: str) -> None:
    await tab.do(lambda page: page.get_by_label("Group tasks").select_option(label=by))


async def test_tasks_of_one_title_or_parent_are_a_group_with_their_outcomes(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        nights = [
            ended(f"n{n}", 230 + n, "Nightly", **({"exit_code": 1} if n == 2 else {}))
            for n in range(25)
        ]
        builds = [ended(f"b{n}", 3, "make test", parent_id="release") for n in range(2)]
        await publish(relay, hook, [event for task in [*nights, *builds] for event in task])
        await publish(
            relay, hook, [event for n in range(210) for event in ended(f"o{n}", 1, "Other")]
        )
        await tell(relay, hook, "task_started", "release", title="Release")
        await tell(relay, hook, "task_started", "tonight", title="Nightly")
        await tab.goto(relay.url)  # which then has the latest 200 of those that ended

        await group(tab, "By title")
        grouped = [
            ["Nightly", "26 runs"],
            ["Release", ""],
            ["Other", "210 runs"],
            ["make test", "2 runs"],
        ]
        await until(tab, ROWS, grouped)
        strip = "document.querySelector('#cards .strip').ariaLabel"
        assert await tab.run(strip) == "The last 20: 1 running, 19 succeeded"
        assert (
            await tab.run("document.querySelector('#cards .usual').textContent") == "usually 4:05"
        )
        assert await faults(tab) == []
        await tell(relay, hook, "task_failed", "tonight", exit_code=1)
        await until(tab, strip, "The last 20: 1 failed, 19 succeeded")
        await publish(relay, hook, ended("n99", 9, "Nightly"))
        await until(tab, f"{ROWS}[0]", ["Nightly", "27 runs"])

        await press(tab, "2 runs")  # with a pointer
        await until(tab, ROWS, [["make test", ""], ["make test", ""]])
        await tab.shows("All groups")
        await press(tab, "All groups")
        grouped[0] = ["Nightly", "27 runs"]
        await until(tab, ROWS, grouped)
        await tab.do(lambda page: page.get_by_label("Search the titles of tasks").focus())
        await keys(tab, "ArrowDown", "Home", "ArrowRight")  # with keys
        await until(tab, "document.querySelector('#cards > li')?.ariaSetSize", "27")
        assert await tab.run(FOCUSED) == "Nightly"
        assert await faults(tab) == []
        await keys(tab, "ArrowLeft")
        await until(tab, ROWS, grouped)
        await press(tab, "Failed 2")
        await until(tab, ROWS, [["Nightly", "2 runs"]])
        await press(tab, "All 240")

        await group(tab, "By parent")
        await until(tab, f"{ROWS}.filter(([, runs]) => runs)", [["Release", "3 tasks"]])
        await press(tab, "3 tasks")
        await until(tab, ROWS, [["make test", ""], ["make test", ""]])
        await tab.shows("Part of Release")
        await group(tab, "No groups")
        await until(tab, "document.querySelector('#cards > li')?.ariaSetSize", "203")
        await tab.do(lambda page: page.locator("#within").wait_for(state="hidden"))
        assert tab.complaints == []


async def test_the_list_is_as_wide_as_it_was_left(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile(viewport=DESKTOP) as profile:
        tab = await first_visit(relay, profile)
        await tell(relay, await hook_of(relay, profile), "task_started", "t", title="A task")
        await tab.shows("A task")
        await until(tab, WIDTH, "410")  # 32 % of the window

        def drag(page: Page) -> None:
            page.mouse.move(411, 400)
            page.mouse.down()
            page.mouse.move(500, 410, steps=4)
            page.mouse.up()

        await tab.do(drag)
        await until(tab, WIDTH, "500")
        width = "document.querySelector('.tasks').offsetWidth"
        assert await tab.run(width) == 500
        await tab.goto(relay.url)
        await until(tab, WIDTH, "500")
        await tab.do(lambda page: page.get_by_role("separator").focus())
        for pressed, left in (
            *(("ArrowRight", "516"), ("ArrowLeft", "500"), ("PageUp", "564"), ("Home", "280")),
            *(("End", "720"), ("Enter", "410"), ("ArrowLeft", "394")),
        ):
            await keys(tab, pressed)
            await until(tab, WIDTH, left)
        assert await faults(tab) == []
        await tab.do(lambda page: page.set_viewport_size(DESKTOP))
        await tab.run("void (document.documentElement.dir = 'rtl')")
        await tab.do(lambda page: page.get_by_role("separator").focus())
        await keys(tab, "ArrowLeft")  # away from the edge on which the tasks are then
        await until(tab, WIDTH, "410")
        assert await tab.run(FITS)
        await tab.do(lambda page: page.get_by_role("separator").dblclick())
        await tab.run("void (document.documentElement.dir = 'ltr')")
        assert await tab.run("localStorage.getItem('relay.task-width')") is None
        for size in (PHONE, {"width": 640, "height": 400}):  # a phone; the desktop at 200 %
            await tab.do(lambda page, size: page.set_viewport_size(size), size)
            assert await tab.do(lambda page: page.get_by_role("separator").is_hidden())
            assert await tab.run(FITS)
        assert tab.complaints == []


async def test_a_card_has_its_numbers_and_the_line_below_is_in_plain_words(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        demo = "document.getElementById('demo').checkVisibility()"
        assert await tab.run(demo) is True
        hook = await hook_of(relay, profile)
        await is_live(tab)
        await tell(relay, hook, "task_started", "train", title="python train.py --epochs 3")
        await tell(relay, hook, "task_started", "named", title="Train the ranker")
        for number in range(4):
            metrics = {"loss": 1 / (number + 1), "accuracy": number / 4, "rate": 7}
            await tell(relay, hook, "task_progress", "train", metrics=metrics)
        numbers = """[...document.querySelectorAll('#cards .number')]
          .map((one) => [one.textContent, one.title])"""
        loss = ["loss0.25", "loss: 0.25 (0.25 to 1)"]
        accuracy = ["accuracy0.75", "accuracy: 0.75 (0 to 0.75)"]
        await until(tab, numbers, [loss, accuracy])
        points = "document.querySelector('#cards .number path').getAttribute('d').split('L').length"
        assert await tab.run(points) == 4
        await until(tab, "document.querySelectorAll('#cards [data-task] .title').length", 2)
        font = "getComputedStyle(document.querySelector('#cards [data-task={}] .title')).font"
        assert (await tab.run(font.format("train"))).startswith("500 14px / 22px ui-monospace")
        assert (await tab.run(font.format("named"))).startswith("600 15px / 22px system-ui")
        assert await tab.run(demo) is False  # there is a task of one's own
        await tab.eventually(
            "() => /^Live · \\d+ ms$/.test(document.getElementById('link-text').textContent)"
        )
        facts = "document.getElementById('link-facts').checkVisibility()"
        assert await tab.run(facts) is False
        await tab.do(lambda page: page.locator("#link").click())
        await tab.shows("Position in the stream")
        assert await faults(tab) == []
        await keys(tab, "Escape")
        await until(tab, facts, False)
        await tell(relay, hook, "task_succeeded", "train")
        await until(tab, numbers, [])  # an ended task is one line
        await tab.goto(relay.url)
        await until(tab, demo, False)
        assert tab.complaints == []


async def test_whatever_a_finger_presses_is_large_enough(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile(viewport=PHONE, is_mobile=True, has_touch=True) as profile:
        tab = await first_visit(relay, profile)
        assert await tab.run(SMALL) == []
        hook = await hook_of(relay, profile)
        await publish(relay, hook, [e for n in range(12) for e in ended(f"n{n}", 9, "Nightly")])
        await tell(relay, hook, "task_started", "now", title="Running now")
        await tab.shows("Nightly")
        await until(tab, "document.querySelector('#cards > li.over').offsetHeight", 46)
        assert await tab.run(SMALL) == []
        await group(tab, "By title")
        await tab.shows("12 runs")
        assert await tab.run(SMALL) == []
        await press(tab, "Log")
        await tab.shows("Following")
        assert await tab.run(SMALL) == []
        await tab.do(lambda page: page.locator("#link").tap())
        await tab.shows("Position in the stream")
        assert await tab.run(FITS)
        await keys(tab, "Escape")
        await press(tab, "Tokens")
        await tab.shows("Revoke")
        assert await tab.run(SMALL) == []
        assert tab.complaints == []
