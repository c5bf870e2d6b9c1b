"""Parses the addresses of receivers, with httpx, which is imported by the first of them.

Most processes never have a channel to add or to send to, and httpx and httpcore are a sixteenth of
what a server would import. What adds a channel and what sends loads httpx before, in a thread.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from httpx import URL


async def load_httpx() -> None:
    """Import httpx in a thread, so that `parse_url` does not hold up the loop for 20 ms."""
    if "httpx" not in sys.modules:
        await trio.to_thread.run_sync(import_module, "httpx")


def parse_url(text: str) -> "URL":
    """The address that this is. Raises ValueError if it is none."""
    import httpx

    try:
        return httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
