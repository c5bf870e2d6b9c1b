"""A serving Relay in a thread of its own: trio over there, plain calls over here."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.support.patience import PATIENCE
from tests.support.relay_server import running_relay


@contextmanager
def serving(database_url: str, **environ: str) -> Iterator[int]:
    """The port of a Relay that serves as long as the block; an error of its own ends the test."""
    started = threading.Event()
    ports: list[int] = []
    failed: list[BaseException] = []
    stop: list[trio.lowlevel.TrioToken] = []
    stopping = trio.Event()

    async def run() -> None:
        async with running_relay(database_url, **environ) as relay:
            ports.append(int(relay.url.rpartition(":")[2]))
            stop.append(trio.lowlevel.current_trio_token())
            started.set()
            await stopping.wait()

    def serve() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # for the test's own thread to raise
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=serve, name="relay")
    thread.start()
    try:
        assert started.wait(PATIENCE), "Relay did not start"
        if ports:
            yield ports[0]
    finally:
        if stop and thread.is_alive():
            stop[0].run_sync_soon(stopping.set)
        thread.join()
        if failed:
            raise failed[0]
