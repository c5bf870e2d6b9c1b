"""The search of the log filters it, and steps through the lines that it found."""

from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.visits import first_visit, hook_of, press, tell
from tests.support.relay_server import Relay

LINES = 300  # far more than a window shows

CURRENT = """() => {
  const rows = [...document.querySelectorAll('.row.current:not([hidden])')];
  const log = document.getElementById('lines').getBoundingClientRect();
  const inside = ({ top, bottom }) => top >= log.top && bottom <= log.bottom;
  return rows.filter((row) => inside(row.getBoundingClientRect()))
    .map((row) => row.querySelector('.words').textContent);
}"""


async def steps_to(tab: Tab, line: str, count: str) -> None:
    """Wait until the current line is this one, in sight, and is announced with its count."""
    is_current = f"line => JSON.stringify(({CURRENT})()) === JSON.stringify([line])"
    await tab.eventually(is_current, line)
    assert await tab.run("document.getElementById('found').textContent") == count
    announced = "document.getElementById('found-line').textContent"
    assert await tab.run(announced) == f"{count}: {line}"


async def write(tab: Tab, text: str) -> None:
    """Write letter by letter into the search, in place of what was there."""
    await tab.do(lambda page: page.get_by_label("Search the log").focus())
    await keys(tab, "Control+a", *(text or ["Delete"]))


async def keys(tab: Tab, *names: str) -> None:
    for name in names:
        await tab.do(lambda page, name: page.keyboard.press(name), name)


async def test_found_lines_are_stepped_through(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        lines = [f"{'even' if number % 2 == 0 else 'odd'} {number}" for number in range(LINES)]
        await tell(relay, hook, "log", "build", message="\n".join(lines))
        await tab.shows(lines[-1])
        steps = tab.do(lambda page: page.get_by_role("group", name="Lines found").is_visible())
        assert not await steps

        await write(tab, "EVEN")
        await tab.shows("150 lines")
        await keys(tab, "Enter")
        await steps_to(tab, "even 0", "1 of 150")
        await tab.shows("Paused")
        await keys(tab, "Enter")
        await steps_to(tab, "even 2", "2 of 150")
        await keys(tab, "Shift+Enter", "Shift+Enter")  # over the first one to the last one
        await steps_to(tab, "even 298", "150 of 150")
        await press(tab, "Previous line found")
        await steps_to(tab, "even 296", "149 of 150")
        await press(tab, "Next line found")
        await press(tab, "Next line found")
        await steps_to(tab, "even 0", "1 of 150")

        await tell(relay, hook, "log", "build", message="odd\nthis is even")
        await tab.shows("1 of 151")  # the line stays, and the count grows
        await write(tab, "odd")
        await keys(tab, "Enter")  # before it is searched for by itself
        await steps_to(tab, "odd 1", "1 of 151")

        await write(tab, "of no line")
        await tab.shows("Nothing matches.")
        await keys(tab, "Enter")
        next_one = tab.do(lambda page: page.get_by_label("Next line found").is_disabled())
        assert await next_one
        await write(tab, "")
        await tab.shows(lines[-1])
        assert await tab.run("document.querySelectorAll('.row.current').length") == 0
        assert tab.complaints == []
