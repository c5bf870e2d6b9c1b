"""The log on Relay's own page: what is in sight of it, in order."""

from playwright.sync_api import Page

from tests.support.browser.chromium import Tab
from tests.support.browser.visits import until

# titles, days, folds, and words of lines
ROWS = """[...document.querySelectorAll('.row:not([hidden])')]
  .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
  .map((row) => row.querySelector(row.matches('.row-line') ? '.words' : '.row-head').textContent)"""
# the words of lines alone
LINES = """[...document.querySelectorAll('.row-line:not([hidden])')]
  .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
  .map((row) => row.querySelector('.words').textContent)"""
CURRENT = "document.querySelector('.row.current:not([hidden]) .words')?.textContent"


async def shows_rows(tab: Tab, rows: list[str], what: str = ROWS) -> None:
    """Wait until these are in sight, and nothing else."""
    await until(tab, what, rows)


async def keys(tab: Tab, *names: str) -> None:
    def press_them(page: Page) -> None:
        for name in names:
            page.keyboard.press(name)

    await tab.do(press_them)
