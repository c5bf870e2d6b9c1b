"""What a server process and the supervisor of several share, without the application.

A supervisor serves no requests: what it imports from here brings neither Quart nor a route.
"""

import gc
from collections.abc import Awaitable, Callable

UNWIND_SECONDS = 5.0  # seconds after the drain, for last commits and closing the pool
GC_THRESHOLD = 10_000  # new objects: those of some forty streams, collected in half a ms

Announce = Callable[[str, str], Awaitable[None]]
"""Runs beside a server from when it listens: `announce(base_url, database)`."""


def freeze_startup_objects() -> None:
    """Freeze startup objects (gc.freeze), and run the garbage collector less often.

    Modules, routes and schemas live until the process ends. Traversing them would block the loop
    for 70 ms each time. Objects of streams are freed by reference counting. Call it once, when
    serving has begun.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def client_url(address: str) -> str:
    """The URL by which a client on the same machine reaches a server's address, of `addresses`."""
    scheme, _, place = address.partition("://")
    if place.startswith("unix:"):
        return f"{scheme}://localhost"
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
