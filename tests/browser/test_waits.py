"""What the tests of this folder wait with: `Tab.eventually`."""

from tests.support.browser.chromium import Chromium
from tests.support.browser.visits import first_visit
from tests.support.relay_server import Relay


async def test_an_expression_is_waited_for_on_a_page_that_forbids_eval(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await tab.run("() => { globalThis.looks = 0; }")
        await tab.eventually("++looks > 2")
        await tab.eventually("(wanted) => ++looks > wanted", 5)
        assert await tab.run("looks") > 5
