"""`/docs` in a real browser: it needs no script and no other host, and logs no error."""

from tests.support.browser.chromium import Chromium
from tests.support.relay_server import Relay


async def test_the_reference_loads_from_here_alone(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile(requests=True) as profile:
        tab = await profile.open(f"{relay.url}/docs")
        await tab.shows("Guide and API reference")
        first = "document.querySelector('main h2').textContent"
        assert await tab.run(first) == "Guide"  # the reference is behind it
        wheel = "document.querySelector('#guide ~ ol code').textContent.split(' ').at(-1)"
        assert (await relay.http.head(await tab.run(wheel))).status_code == 200
        await tab.shows("/api/webhook/cli")
        assert tab.complaints == []
        assert [url for url in tab.requested if not url.startswith((relay.url, "data:"))] == []
