"""Calls that wait: their response is ready and held back, and their request is out of memory.

A suspended application costs its coroutines, the scope, the headers and the context. Of a held call
the connection keeps the bytes of its head and of its response, and what the application says here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol


class HeldCall(Protocol):
    """What an application keeps of a call whose response is held."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """What to add to the request's scope when it is run anew."""
        ...

    async def wait(self, disconnected: Callable[[], Awaitable[object]]) -> bool:
        """Wait as long as the response is to be held. `disconnected` returns when the client left.

        Returns False if the response holds, and is to be sent. Otherwise the application is run
        anew with the request's head and without its body, which it has read.
        """
        ...

    def finish(self, *, sent: bool) -> None:
        """Free what the call holds. `sent`: its response holds, and is about to be sent.

        The server calls it exactly once, however the call ends. It must neither wait nor raise.
        """
        ...
