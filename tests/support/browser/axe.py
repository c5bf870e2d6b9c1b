"""What axe-core finds wrong with a page: contrast, names, roles, order, the size of targets."""

from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize

from tests.support.browser.chromium import Tab

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
# all that axe judges unasked, and the one rule of WCAG 2.2 AA that it leaves off
EVERYTHING = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}

# all else that axe found out would come through node to this process, a hundred times as much
JUDGE = """async (rules) => (await axe.run(rules)).violations.flatMap(({ id, nodes }) =>
  nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`))"""

# a scheme changes colours and nothing else: the other rules need no second look
LOOKS: tuple[tuple[ViewportSize, Literal["light", "dark"], dict[str, Any]], ...] = (
    (PHONE, "light", EVERYTHING),
    (PHONE, "dark", COLOURS),
    (DESKTOP, "light", EVERYTHING),
    (DESKTOP, "dark", COLOURS),
)


async def faults(tab: Tab) -> list[str]:
    """Of what stands there now, in both colour schemes, at the size of a phone and of a desktop."""

    def look(page: Page) -> list[str]:
        found: list[str] = []
        for size, scheme, rules in LOOKS:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{scheme}, {size['width']}: {fault}" for fault in _judged(page, rules)]
        return found

    return await tab.do(look)


def _judged(page: Page, rules: dict[str, Any]) -> list[str]:
    if not page.evaluate("'axe' in window"):  # since an earlier look at this document
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(JUDGE, rules)
    return found
