"""The icons of the installed page and of its notifications.

    python -m tests.support.pictures.icons

Each is the favicon's mark, drawn by Chromium: on its rounded tile, on a whole square for systems
that cut a shape out of it, or alone and white for status bars, which take nothing but its outline.
"""

import re
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page

from tests.support.browser.chromium import running_chromium
from tests.support.relay_process import ROOT

CONSOLE = ROOT / "relay" / "console"
SIDE = 32  # of the favicon's view box


class Icon(NamedTuple):
    """`scale`: of the mark; what is cut out of a square keeps 80 % of it for certain."""

    name: str
    pixels: int
    corner: float | None  # of the tile; None: no tile
    scale: float = 1.0


ICONS = (
    Icon("icon-192.png", 192, 8),
    Icon("icon-512.png", 512, 8),
    Icon("icon-maskable.png", 512, 0, 1.1),
    Icon("icon-180.png", 180, 0, 1.1),
    Icon("badge.png", 96, None, 1.2),
)


def drawing(favicon: str, icon: Icon) -> str:
    """The icon as SVG."""
    tile = re.search(r"<rect .*/>", favicon)
    marks = re.findall(r"<path .*/>", favicon)
    assert tile is not None
    ground = "" if icon.corner is None else tile[0].replace('rx="8"', f'rx="{icon.corner}"')
    middle = SIDE / 2
    place = f"translate({middle} {middle}) scale({icon.scale}) translate(-{middle} -{middle})"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}"'
        f' width="{icon.pixels}" height="{icon.pixels}" style="display:block">'
        f'{ground}<g transform="{place}">{"".join(marks)}</g></svg>'
    )


def take(page: Page, folder: Path) -> None:
    """Draw all icons into a folder."""
    favicon = (CONSOLE / "favicon.svg").read_text("utf-8")
    for icon in ICONS:
        page.set_viewport_size({"width": icon.pixels, "height": icon.pixels})
        page.set_content(f'<body style="margin:0">{drawing(favicon, icon)}')
        page.screenshot(path=folder / icon.name, omit_background=True)


if __name__ == "__main__":
    import trio

    async def main() -> None:
        with running_chromium() as chromium:
            async with chromium.profile() as profile:
                tab = await profile.open("about:blank")
                await tab.do(take, CONSOLE)

    trio.run(main)
