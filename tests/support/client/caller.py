"""Requests one after the other, in trio."""

from typing import Any, Self

import h11
import trio

from tests.support.client.connection import ClientConnection, Lost, connected
from tests.support.client.protocol import JSON, Answer, answer_of, request_headers
from tests.support.patience import PATIENCE

RETRY_INTERVAL = 0.1  # seconds until a refused or lost request is tried again


class Caller:
    """Requests one after the other on a kept connection, which is opened anew when it was lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()
            self._connection = None

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes = b"",
        content_type: str = JSON,
    ) -> Answer:
        """Raises Lost; a request without an answer fails the test."""
        try:
            with trio.fail_after(PATIENCE):
                if self._connection is None:
                    self._connection = ClientConnection(await connected(self._port))
                http = self._connection.http
                headers = request_headers(token, body, content_type)
                await self._connection.send(http.request(method, path, headers, body))
                answer = answer_of(*await self._connection.next_response())
            http.end_cycle()
            return answer
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, EOFError) as error:
            raise Lost(repr(error)) from error
        finally:
            if self._connection is not None and not self._connection.http.is_idle:
                await self._drop()

    async def insist(self, method: str, path: str, *more: Any) -> Answer:
        """The same call, tried again while the answer is 503, as clients should.

        A machine that stands still for a few seconds makes Relay report its database as away.
        """
        with trio.fail_after(PATIENCE):
            while True:
                answer = await self.call(method, path, *more)
                if answer.status != 503:
                    return answer
                await trio.sleep(RETRY_INTERVAL)
