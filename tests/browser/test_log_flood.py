"""A flood of log lines on the live page: fifty thousand of them, a thousand events a second."""

import json

import trio

from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.log_rows import CURRENT
from tests.support.browser.visits import first_visit, hook_of, press
from tests.support.relay_server import Relay, bearer

LINES = 10  # in an event, as `relay run` batches them
BATCH = 100  # events in a request, ten of which are sent in a second
KEPT = 50_000  # lines, and up to a tenth more before it lets the oldest go


async def flood(relay: Relay, hook: str, enough: trio.Event) -> None:
    """Fifty thousand lines, and the last thousand again and again until it is enough."""
    await pour(relay, hook, range(1, 50))
    while not enough.is_set():
        await pour(relay, hook, range(49, 50))


async def pour(relay: Relay, hook: str, batches: range) -> None:
    headers = {**bearer(hook), "Content-Type": "application/x-ndjson"}
    begun = trio.current_time()
    for batch in batches:
        await trio.sleep_until(begun + (batch - batches.start) * BATCH / 1000)
        first = batch * BATCH * LINES
        events = [
            {
                "event_type": "log",
                "task_id": "train",
                "ts": "2026-01-31T12:00:00Z",
                "payload": {"message": "\n".join(words(at + n) for n in range(LINES))},
            }
            for at in range(first, first + BATCH * LINES, LINES)
        ]
        body = "\n".join(map(json.dumps, events)).encode()
        answer = await relay.http.post("/api/webhook/cli", content=body, headers=headers)
        assert answer.status_code == 200, answer.text


def words(number: int) -> str:
    return f"step {number:06} \x1b[32mloss\x1b[0m {number / 7:.4f} and so on to the end of the line"


def plain(number: int) -> str:
    return words(number).replace("\x1b[32m", "").replace("\x1b[0m", "")


# how many lines and titles it scrolls over, by their height; and the last one there is
SHOWN = """document.getElementById('sheet').offsetHeight
  / (document.querySelector('.row:not([hidden])')?.offsetHeight ?? Infinity)"""
LAST = """Math.max(...[...document.querySelectorAll('.row:not([hidden]) .words')]
  .map(({ textContent }) => Number(textContent.slice(5, 11))))"""

# Enter, and not a pause after the last letter
SEARCH = """async (words) => {
  const input = document.getElementById('search');
  const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));
  const isFound = () => document.querySelector('mark')?.textContent === words;
  input.value = words;
  const begun = performance.now();
  input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  do await frame(); while (!isFound());
  return performance.now() - begun;
}"""


async def reaches(tab: Tab, what: str, number: int) -> None:
    enough = f"(it) => {what} >= it"
    await tab.eventually(enough, number)


async def test_the_page_stays_responsive_under_a_flood(relay: Relay, chromium: Chromium) -> None:
    at_hand = trio.Event()
    async with chromium.profile(reduced_motion="no-preference") as profile:  # all that moves, too
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await pour(relay, hook, range(1))
        await reaches(tab, LAST, 999)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, relay, hook, at_hand)
            await reaches(tab, LAST, 5_999)
            await press(tab, "Following")  # in the midst of it
            await tab.shows("Paused")
            await tab.do(lambda page: page.locator("#newer").click())
            await tab.shows("Following")
            at_hand.set()
        await reaches(tab, LAST, KEPT - 1)
        assert 1_000 < await tab.run(SHOWN) < 1_200  # the title, the ends of the block, and a fold
        await tab.run("void (lines.scrollTop = 1_800)")
        await tab.do(lambda page: page.get_by_role("button", name="more lines").click())
        await reaches(tab, SHOWN, KEPT)
        assert KEPT < await tab.run(SHOWN) <= KEPT * 1.1 + 1  # with the title
        assert await tab.run("document.querySelectorAll('*').length") < 1_000

        await press(tab, "Paused")
        await tab.shows("Following")
        await pour(relay, hook, range(50, 60))
        await reaches(tab, LAST, 59_999)
        assert KEPT < await tab.run(SHOWN) <= KEPT * 1.1 + 1  # with the title
        for words in ("loss", "step 058"):
            took = await tab.run(SEARCH, words)
            print(
                f"search for {words!r} in {KEPT:,} lines: {took:.0f} ms to its mark on the screen"
            )
            await tab.do(lambda page: page.locator("mark").first.wait_for())
        assert await tab.run(f"[{SHOWN}, {CURRENT}]") == [1_001, plain(58_000)]
        assert tab.complaints == []
