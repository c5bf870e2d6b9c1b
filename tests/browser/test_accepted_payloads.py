"""The page shows whatever the server accepts, in a real browser: all of it at once, in order."""

import json

import httpx
import trio

from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.visits import first_visit, hook_of, say, tell
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import Relay, bearer

# the payload as it is sent, and the line that shows it in the log
LOGS: dict[str, tuple[str, str]] = {
    "infinite": ('{"n":1e309}', '{"n":"≈ Infinity"}'),
    "4301 digits": ('{"n":' + "9" * 4_301 + "}", '{"n":"≈ Infinity"}'),
    "beyond 2^53": ('{"n":9007199254740993}', '{"n":"≈ 9007199254740992"}'),
    "bare number": ("-1e309", '"≈ -Infinity"'),
    "64 deep": ("[" * 64 + "]" * 64, "[" * 64 + "]" * 64),
    "names of prototypes": (
        '{"__proto__":{"message":"x"},"toString":1,"constructor":null}',
        '{"__proto__":{"message":"x"},"toString":1,"constructor":null}',
    ),
    "twice": ('{"message":"first","message":"second"}', "second"),
    "message is an object": ('{"message":{"a":[1]}}', '{"a":[1]}'),
    "level is an array": ('{"message":"odd level","level":[]}', "odd level"),
    "null": ("null", "null"),
}
# events of which a field cannot be read as what it should be
ODD = [
    ("task_started", '{"title":{"a":1}}'),
    ("task_progress", '{"progress":1e309}'),
    ("task_progress", '{"progress":"50%"}'),
    ("task_progress", '{"progress":-0,"message":7}'),
    ("task_progress", "[]"),
    ("task_failed", '{"exit_code":1e309,"duration_s":-1e309,"title":[]}'),
    ("task_started", '{"title":7}'),
    ("task_succeeded", '{"exit_code":{},"duration_s":1e300}'),
]
TIMES = (
    "2026-01-31T12:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
)


async def send(relay: Relay, hook: str, kind: str, payload: str, task: str, ts: str) -> None:
    """An event whose payload is passed on as it is written here."""
    body = f'{{"event_type":"{kind}","task_id":"{task}","ts":"{ts}","payload":{payload}}}'
    headers = {**bearer(hook), "Content-Type": "application/json"}
    answer: httpx.Response = await relay.http.post(
        "/api/webhook/cli", content=body, headers=headers
    )
    assert answer.status_code == 200, answer.text


TITLES = "[...document.querySelectorAll('.card .title')].map((one) => one.textContent)"


async def has_all(tab: Tab, script: str, wanted: set[str]) -> None:
    """Wait until the script returns all of these: log and cards are drawn one after the other."""
    missing = wanted
    with trio.move_on_after(PATIENCE):
        while missing := wanted - set(await tab.run(script)):  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    assert missing == set()


async def test_all_that_is_accepted_is_shown(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        for kind, payload in ODD:
            for ts in TIMES:
                await send(relay, hook, kind, payload, "constructor", ts)
        huge = json.dumps({"message": "x" * 60_000, "title": "y" * 5_000})
        await send(relay, hook, "log", huge, "__proto__", TIMES[0])
        await send(relay, hook, "log", json.dumps({"message": "\n" * 20_000}), "lines", TIMES[0])
        for payload, _ in LOGS.values():
            await send(relay, hook, "log", payload, "toString", TIMES[0])
        for task in ("toString", "__proto__"):
            await send(relay, hook, "task_progress", "{}", task, TIMES[0])
        await say(relay, hook, "and the next event")

        script = """[...document.querySelectorAll('.row-line:not([hidden]) .words')]
          .map((words) => words.textContent)"""
        for _ in range(2):  # as they came, and as they are read again
            await tab.shows("and the next event")
            await has_all(tab, script, {line for _, line in LOGS.values()})
            await has_all(tab, TITLES, {"constructor", "toString", "__proto__"})
            assert await tab.run("document.querySelectorAll('[role=progressbar]').length") > 0
            assert tab.complaints == []
            await tab.goto(relay.url)


ATTACKS = [
    "javascript:alert(1)//http://a.example",
    'https://a.example/"onmouseover=alert(1)//',
    "https://a.example/<img src=x onerror=alert(1)>",
    "https://relay.example@evil.example/",
    "https://user:password@a.example/",
    "data:text/html,<script>alert(1)</script>",
    "http://",
    "https://[::1",
    "HTTPS://A.example/x",
    "see https://a.example/a_(b)_c), and (https://b.example/path?x=1&y=%20#z).",
    "\x1b]8;;https://evil.example\x1b\\https://a.example\x1b]8;;\x1b\\",
    "\u202ehttps://a.example/txt.exe",
    f"https://a.example/{'long' * 1_000}",
]
# the address that each link leads to, and its words, in order
LINKS = [
    ["http://a.example/", "http://a.example"],
    ["https://a.example/", "https://a.example/"],
    ["https://a.example/", "https://a.example/"],
    ["https://a.example/x", "HTTPS://A.example/x"],
    ["https://a.example/a_(b)_c", "https://a.example/a_(b)_c"],
    ["https://b.example/path?x=1&y=%20#z", "https://b.example/path?x=1&y=%20#z"],
    ["https://a.example/", "https://a.example"],
    ["https://a.example/txt.exe", "https://a.example/txt.exe"],
]


async def test_addresses_in_the_log_are_links_and_nothing_else_becomes_one(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        for text in ATTACKS:
            await say(relay, hook, text)
        await say(relay, hook, "the end")
        await tab.shows("the end")
        links = """[...document.querySelectorAll('#lines .words a')]
          .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top
            || a.getBoundingClientRect().left - b.getBoundingClientRect().left)"""
        assert await tab.run(f"{links}.map((link) => [link.href, link.textContent])") == LINKS
        kinds = f"{links}.map(({{ rel, target }}) => `${{rel}} ${{target}}`)"
        assert set(await tab.run(kinds)) == {"noopener noreferrer _blank"}
        attributes = f"[...new Set({links}.flatMap((link) => link.getAttributeNames()))].sort()"
        assert await tab.run(attributes) == ["href", "rel", "target"]
        assert await tab.run("document.querySelectorAll('img, #lines script').length") == 0
        await tab.do(lambda page: page.get_by_label("Search the log").fill("b.example"))
        await tab.do(lambda page: page.locator("#lines a mark").wait_for())
        await tab.eventually("found.textContent === '1 line'")
        assert await faults(tab) == []
        assert tab.complaints == []


BACKGROUNDS = "".join(
    f"\x1b[{fore};{back}m {back} \x1b[0m"
    for fore in (31, 37)
    for back in (*range(40, 48), *range(100, 108), 7)
)


async def test_no_line_differs_by_its_colour_alone(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "log", "t", message="plain")
        await tell(
            relay, hook, "log", "t", message="on the other stream\nand more", stream="stderr"
        )
        await tell(relay, hook, "log", "t", message="careful", level="warning")
        await tell(relay, hook, "log", "t", message="WARNING: has the word", level="warning")
        await tell(relay, hook, "log", "t", message="it broke", level="error")
        await tell(relay, hook, "log", "t", message=BACKGROUNDS)
        await say(relay, hook, "the end")
        await tab.shows("the end")
        words = """[...document.querySelectorAll('.row-line:not([hidden]) .words')]
          .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
          .map((line) => getComputedStyle(line, '::before'))
          .map(({ content, display }) => (display === 'none' ? 'none' : content))"""
        assert (await tab.run(words))[:6] == [
            "none",
            '"stderr"',
            "none",
            '"warning"',
            "none",
            '"error"',
        ]
        drawn = """new Set([...document.querySelectorAll('.words span')]
          .map((span) => getComputedStyle(span).backgroundColor)).size"""
        assert await tab.run(drawn) >= 8
        assert await faults(tab) == []
