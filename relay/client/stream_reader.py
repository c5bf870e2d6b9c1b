"""Reads a stream without end: reconnects after breaks, without duplicates or holes.

It uses server-sent events and resumes by cursor. A slow consumer does not use more memory here:
events that are not read yet wait at the server.
"""

import random
import time
from collections.abc import Iterator, Mapping

import httpx
import msgspec

from relay.client.answer_bounds import AnswerBounds
from relay.client.api_client import (
    ApiError,
    error_of_answer,
    no_answer_error,
)
from relay.client.credentials import Credentials
from relay.client.http_client import head_of, open_answer, open_http, read_answer
from relay.client.plain_text import shown_text
from relay.client.retry_pauses import bounded, pause_before
from relay.client.stream_messages import MessageDecoder, NotRelaysStream, StreamMessage
from relay.media_types import EVENT_STREAM

SILENCE_SECONDS = 45.0  # Relay sends a heartbeat every 15
RECONNECT_JITTER_SECONDS = 1.0  # spreads the clients that reconnect after a restart
FINAL_CLOSE_CODES = (4401, 4403)  # close codes after which this credential opens no stream


class ConnectionLost(msgspec.Struct, frozen=True):
    """The connection was lost. The next attempt is after `pause` seconds."""

    why: str
    pause: float


class StreamReader:
    """The stream of the credentials' user."""

    def __init__(
        self,
        credentials: Credentials,
        start: Mapping[str, str],
        *,
        with_tasks: bool = False,
        silence: float | None = None,
    ) -> None:
        """`start` is the query parameter of where to start, "after" or "last".

        `with_tasks`: the stream has the user's tasks, too: all that matter at the beginning of each
        connection, then those that change.
        After `silence` seconds [SILENCE_SECONDS] without data the connection counts as lost.
        """
        self._credentials = credentials
        self._silence = SILENCE_SECONDS if silence is None else silence
        self._start = dict(start)
        self._always = {"tasks": "1"} if with_tasks else {}
        self.cursor: str | None = None

    def read(self) -> Iterator[list[StreamMessage] | ConnectionLost]:
        """Yield messages that arrived together, and breaks, without end.

        Raises `ApiError` if Relay refuses the stream, or if another program than Relay answers
        the first request. Later such an answer is a break: networks have login portals.
        """
        attempt = 0
        with open_http(self._credentials.url, self._credentials.token, self._silence) as http:
            while True:
                lost: ConnectionLost | None = None
                why, retry_after = "the connection was lost", 0.0
                try:
                    for messages in self._connection(http):
                        attempt = 0
                        yield messages
                        lost = _find_close(messages) or lost
                except ApiError as error:
                    if not error.is_temporary and (error.is_of_relay or self.cursor is None):
                        raise
                    why, retry_after = str(error), error.retry_after or 0.0
                lost = lost or ConnectionLost(why, pause_before(attempt, retry_after or None))
                attempt += 1
                yield lost
                time.sleep(lost.pause)

    def _connection(self, http: httpx.Client) -> Iterator[list[StreamMessage]]:
        """Yield the messages of one connection until it ends. Raises `ApiError`."""
        url = self._credentials.url
        headers = {"Accept": EVENT_STREAM}
        headers |= {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        query = self._always | (self._start if self.cursor is None else {})
        request = http.build_request("GET", f"{url}/api/sse", params=query, headers=headers)
        bounds = AnswerBounds(self._silence)  # until the first message
        try:
            with open_answer(http, request, bounds) as answer:
                media_type = answer.headers.get("content-type", "").partition(";")[0]
                if answer.status_code != 200 or media_type.strip().lower() != EVENT_STREAM:
                    raise error_of_answer(read_answer(answer, url))
                decoder = MessageDecoder(self.cursor)
                for chunk in answer.iter_raw():
                    if messages := self._feed(decoder, chunk, answer):
                        bounds.lift()
                        self.cursor = decoder.cursor
                        yield messages
        except httpx.HTTPError as error:
            raise no_answer_error(url, error) from error

    def _feed(
        self, decoder: MessageDecoder, chunk: bytes, answer: httpx.Response
    ) -> list[StreamMessage]:
        """The messages that a part of an answer completes. Raises `ApiError`."""
        try:
            return decoder.feed(chunk)
        except NotRelaysStream as error:
            raise error_of_answer(head_of(answer, self._credentials.url)) from error


def _find_close(messages: list[StreamMessage]) -> ConnectionLost | None:
    """The break that a close message announces. Raises `ApiError` if it is final."""
    for one in messages:
        if one.control == "close":
            code, reason = one.fields.get("code"), shown_text(str(one.fields.get("reason")))
            if code in FINAL_CLOSE_CODES:
                text = f"Relay closed the stream: {reason} ({code})."
                raise ApiError(text, status=401, code=reason)
            retry_after = bounded((one.fields.get("retry_after_ms") or 0) / 1000)
            return ConnectionLost(
                f"Relay closed the stream: {reason}",
                retry_after + random.uniform(0, RECONNECT_JITTER_SECONDS),
            )
    return None
