"""Held calls as a test directs them, and an application that holds the responses to all of them."""

import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from relay.server.handle import HANDLE_EXTENSION
from tests.support.server.stage import lifespan

READY, ANEW = b"ready", b"made anew"


class Weighty:
    """Something of a request that a test can see freed."""


class Call:
    """The application's side of one held response: it waits until the test says how it ends."""

    def __init__(self) -> None:
        self.scope: Mapping[str, Any] = {"anew": True}
        self.waits = trio.Event()
        self.left = False  # whether the client has
        self.finished: list[bool] = []
        self._released = trio.Event()
        self._anew = False

    def release(self, *, anew: bool = False) -> None:
        """End the wait: the response is sent, or made anew."""
        self._anew = anew
        self._released.set()

    async def wait(self, disconnected: Callable[[], Awaitable[object]]) -> bool:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await disconnected()
                self.left = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            self.waits.set()
            await self._released.wait()
            nursery.cancel_scope.cancel()
        return self._anew

    def finish(self, *, sent: bool) -> None:
        self.finished.append(sent)


class Holding:
    """The application. It holds each response but those that are made anew."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.requests: list[tuple[str, str, bytes, dict[bytes, bytes]]] = []
        self.weights: list[weakref.ref[Weighty]] = []
        self._arrived = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        body = (await receive())["body"]
        self.requests.append((scope["method"], scope["path"], body, dict(scope["headers"])))
        scope["weighty"] = weighty = Weighty()
        self.weights.append(weakref.ref(weighty))
        if scope.get("anew"):
            await respond(send, ANEW)
            return
        call = Call()
        scope["extensions"][HANDLE_EXTENSION].hold(call)
        await respond(send, READY)
        self.calls.append(call)
        self._arrived.set()

    async def held(self, count: int = 1) -> list[Call]:
        """The calls, once so many wait."""
        while len(self.calls) < count:
            self._arrived = trio.Event()
            await self._arrived.wait()
        for call in self.calls:
            await call.waits.wait()
        return self.calls


async def respond(send: Any, data: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data, "more_body": False})
