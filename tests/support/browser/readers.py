"""Cross-origin pages that each hold one RelayStream and record all it reports."""

from typing import Any

from playwright.sync_api import TimeoutError

from tests.support.browser.chromium import Profile, Tab
from tests.support.relay_server import Relay

BEGIN = """async ([url, credentials, options]) => {
  const { RelayStream } = await import(`${url}/console/relay-stream.js`);
  const seen = window.seen = { events: [], hellos: [], gaps: [], states: [], asked: [] };
  window.credentials = credentials;
  const getCredential = ({ expired }) => {
    seen.asked.push(expired);
    if (expired) window.credentials.shift();
    return window.credentials[0];
  };
  const stream = window.stream = new RelayStream({ url, getCredential, ...options });
  stream.addEventListener('event', ({ detail }) => seen.events.push(detail.seq));
  stream.addEventListener('hello', ({ detail }) => seen.hellos.push(detail));
  stream.addEventListener('gap', ({ detail }) => seen.gaps.push([detail.from, detail.to]));
  stream.addEventListener('state', ({ detail }) => seen.states.push({ ...detail, at: Date.now() }));
}"""


class Reader:
    """One page and its stream; `credentials` are given out in order, the next when one expires."""

    def __init__(self, tab: Tab, relay: Relay, credentials: list[str]) -> None:
        self.tab = tab
        self._relay = relay
        self._credentials = credentials

    async def begin(self, **options: Any) -> None:
        await self.tab.run(BEGIN, [self._relay.url, self._credentials, options])

    async def until(self, condition: str, argument: Any = None) -> None:
        """Wait for something true of `stream` and `seen`, with `it` as the argument."""
        script = f"(it) => {condition}"
        try:
            await self.tab.eventually(script, argument)
        except TimeoutError:
            snapshot = await self.tab.run("JSON.stringify([stream.state, seen])")
            raise AssertionError(f"{condition} ({argument}): {snapshot}") from None

    async def live(self, transport: str = "websocket") -> None:
        await self.until(
            "stream.state.state === 'live' && stream.state.transport === it", transport
        )

    async def has(self, last: int) -> list[int]:
        """Every seq it reported, once it reported this one."""
        await self.until("seen.events.includes(it)", last)
        seen: list[int] = await self.seen("events")
        return seen

    async def seen(self, what: str) -> Any:
        return await self.tab.run(f"seen.{what}")

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.tab.run("stream.state")
        return found


async def reader(
    profile: Profile,
    page: str,
    relay: Relay,
    *credentials: str,
    clock: bool = False,
    **options: Any,
) -> Reader:
    """A page at that address that has begun to read. `clock`: its time can be moved."""
    tab = await profile.open("about:blank")
    if clock:
        await tab.do(lambda page: page.clock.install())
    await tab.goto(page)
    found = Reader(tab, relay, list(credentials))
    await found.begin(**options)
    return found
