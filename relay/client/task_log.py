"""Downloads the stored events of a task's run, whole, also over connections that break."""

import time
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import msgspec

from relay.client.answer_bounds import AnswerBounds
from relay.client.api_client import ApiError, error_of_answer, no_answer_error
from relay.client.credentials import Credentials
from relay.client.http_client import head_of, open_answer, open_http, read_answer
from relay.client.retry_pauses import pause_before
from relay.client.stream_messages import MAX_BLOCK_BYTES, StreamEvent
from relay.media_types import NDJSON

SILENCE_SECONDS = 45.0  # between two parts of a download: Relay may look through many events
MAX_ATTEMPTS = 4  # in a row without an event more


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event of the run, and its JSON as Relay sent it."""

    event: StreamEvent
    raw: bytes


def download_log(
    credentials: Credentials, task_id: str, run: int | None
) -> Iterator[list[LoggedEvent]]:
    """Yield the events of a run that arrived together, each once and in order.

    A download that breaks off is begun again. Raises `ApiError`: 404 if nothing is stored.
    """
    seen, attempt = 0, 0
    query = {"task_id": task_id, "format": "ndjson"} | ({} if run is None else {"run": str(run)})
    path = f"/api/tasks/log?{urlencode(query)}"
    with open_http(credentials.url, credentials.token, SILENCE_SECONDS) as http:
        while True:
            try:
                for events in _download(http, credentials.url, path):
                    if new := [one for one in events if one.event.seq > seen]:
                        seen, attempt = new[-1].event.seq, 0
                        yield new
                return
            except ApiError as error:
                attempt += 1
                if not error.is_temporary or attempt == MAX_ATTEMPTS:
                    raise
                time.sleep(pause_before(attempt, error.retry_after))


def _download(http: httpx.Client, url: str, path: str) -> Iterator[list[LoggedEvent]]:
    request = http.build_request("GET", url + path)
    bounds = AnswerBounds(SILENCE_SECONDS)
    rest = b""
    try:
        with open_answer(http, request, bounds) as answer:
            media_type = answer.headers.get("content-type", "").partition(";")[0]
            if answer.status_code != 200 or media_type.strip().lower() != NDJSON:
                raise error_of_answer(read_answer(answer, url))
            for chunk in answer.iter_raw():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_BLOCK_BYTES:
                    raise error_of_answer(head_of(answer, url))
                events = [_read(line) for line in lines]
                bounds.lift()
                yield events
    except httpx.HTTPError as error:
        raise no_answer_error(url, error) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise error_of_answer(head_of(answer, url)) from error


def _read(line: bytes) -> LoggedEvent:
    return LoggedEvent(msgspec.json.decode(line, type=StreamEvent), line)
