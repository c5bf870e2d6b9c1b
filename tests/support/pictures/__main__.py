"""The pictures in the documentation: `make pictures`, or `python -m tests.support.pictures FOLDER`.

Taken of a running Relay with its own Postgres, of stories that are the same each time; only tokens,
one-time links and the terminal's times are new. Another folder than the documentation's gets PNG,
for looking at.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tests.support.browser.chromium import running_chromium
from tests.support.pictures import page, terminal
from tests.support.relay_process import ROOT, Program, running

FOLDER = ROOT / "docs" / "images"


async def take(folder: Path) -> None:
    kind = page.WEBP if folder == FOLDER else page.PNG
    with TemporaryDirectory() as temporary:
        relay = Program(Path(temporary), BASE_URL=page.ADDRESS)
        with running_chromium(*page.arguments(relay)) as chromium:
            async with running(relay):
                await terminal.take(relay, folder / "tail.svg")
                for scheme in page.SCHEMES:
                    await page.Studio(chromium, relay, folder, kind, scheme).take_all()


if __name__ == "__main__":
    where = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else FOLDER
    where.mkdir(parents=True, exist_ok=True)
    trio.run(take, where)
