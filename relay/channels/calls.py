"""Calls of receivers, whose libraries the first call imports, in a thread."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import trio

from relay.channels.outbound_answer import OutboundAnswer

if TYPE_CHECKING:
    from relay.channels.outbound import Outbound


class Calls(Protocol):
    """What kinds of channels call receivers with. `private`: as RELAY_OUTBOUND_PRIVATE=on."""

    private: bool

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> OutboundAnswer:
        """Send a POST. Raises OutboundFailed."""
        ...

    async def close_expired(self) -> None:
        """Close the connections that have been kept for long enough."""
        ...

    async def close(self) -> None:
        """Close the connections that are kept."""
        ...


class LateCalls:
    """Calls by an `Outbound`, which is imported and made by the first of them.

    That takes 70 ms in a thread, and most processes never call a receiver.
    """

    def __init__(self, *, private: bool) -> None:
        self.private = private
        self._outbound: Outbound | None = None
        self._importing = trio.Lock()

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> OutboundAnswer:
        """Send a POST. Raises OutboundFailed."""
        if self._outbound is None:
            async with self._importing:
                if self._outbound is None:
                    self._outbound = await trio.to_thread.run_sync(_open, self.private)
        return await self._outbound.post(url, headers, content)

    async def close_expired(self) -> None:
        """Close the connections that have been kept for long enough."""
        if self._outbound is not None:
            await self._outbound.close_expired()

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._outbound is not None:
            await self._outbound.close()


def _open(private: bool) -> "Outbound":
    from relay.channels.outbound import Outbound, trusted_authorities

    return Outbound(private=private, trust=trusted_authorities())
