"""The guarded layer: one connection of Hypercorn's trio worker, made safe to face strangers.

Hypercorn's own connection lets a stranger's malformed request end the process, a reader that
stopped reading keep a task for ever, and any number of connections in. This one ends alone,
in bounded time, and is counted.
"""

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState

from .applications import ApplicationTasks
from .connection import Address, Connection
from .guarded_h11 import GuardedH11Protocol
from .wire import MAX_RECV, Wire


class GuardedConnection(Connection):
    """What Hypercorn's TCPServer does, around Hypercorn's own protocols."""

    async def _converse(self, client: Address, server: Address) -> None:
        async with ApplicationTasks(self._observer) as tasks:
            wire = self._open_wire(tasks.spawn)
            self._protocol = GuardedH11Protocol(
                ASGIWrapper(self._app),
                self._config,
                self._context,
                tasks,
                ConnectionState(self._state),
                self._is_tls,
                client,
                server,
                self._protocol_send,
                wire=wire,
                limits=self._limits,
                refusals=self._refusals,
            )
            try:
                self._be_idle()
                with wire.reading:
                    await self._read(wire)
                await self._protocol.handle(Closed())
                await self._leave(wire)
            finally:
                self._let_go(wire)  # before the application is waited for: it may be writing

    async def _protocol_send(self, event: Event) -> None:
        assert self._wire is not None
        if isinstance(event, RawData):
            if event.data:
                await self._wire.send(event.data)
        elif isinstance(event, Closed):
            self._spoke_last = True
            self._wire.hang_up()
        elif isinstance(event, Updated):
            if event.idle:
                self._be_idle()
            else:
                self._be_busy()

    def _stop_waiting(self, wire: Wire) -> None:
        wire.hang_up()

    async def _read(self, wire: Wire) -> None:
        """Hand what comes to the protocol, until an end: theirs, ours, or of patience.

        Hypercorn's `read_timeout` is not obeyed: it would cut streams that have nothing to say.
        """
        data = b"-"
        while data:
            try:
                data = bytes(await self._stream.receive_some(MAX_RECV))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            wire.last_received = trio.current_time()
            await self._protocol.handle(RawData(data))
