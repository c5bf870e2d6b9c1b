"""Asks a person through Relay, and waits for the answer."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import Credentials
from relay.client.drafts import new_id
from relay.client.retry_pauses import pause_before

WAIT_SECONDS = 20  # of one call: common proxies give up after 30
STOPPABLE_WAIT_SECONDS = 10  # of one call that another thread may want to end
ANSWER_SECONDS = 5.0  # after the wait, for the answer
MIN_SECONDS, MAX_SECONDS = 10, 7 * 86_400
MAX_DETAILS_BYTES = 16 * 1024
EARLY_SECONDS = 1.0  # a call that waited less is followed by a pause
WITHDRAW_SECONDS = 5.0  # for each call of a withdrawal: the program ends after it
GRACE_SECONDS = 5.0  # past the ask's time, in which an answer of the last moment is read


class AskOutcome(NamedTuple):
    """How an ask ended. `answer` is None unless `state` is answered."""

    state: Literal["answered", "expired", "withdrawn"]
    answer: str | None


class Stopped(Exception):
    """The wait was ended by the program itself."""


class Asking:
    """One ask, from its request to its end. Blocks; a context manager, for one thread.

    Left by an exception, it withdraws the ask: nothing waits for the answer any more. That holds
    for an ask of which Relay's answer has not come yet, too. `stopped` is set by another thread to
    end the wait, within STOPPABLE_WAIT_SECONDS. A Relay that is away is tried again for `patience`
    seconds; without it until the ask is over.
    """

    def __init__(
        self,
        found: Credentials,
        stopped: threading.Event | None = None,
        *,
        patience: float | None = None,
    ) -> None:
        self._wait_seconds = WAIT_SECONDS if stopped is None else STOPPABLE_WAIT_SECONDS
        self._stopped = stopped or threading.Event()
        self._patience = patience
        timeout = self._wait_seconds + ANSWER_SECONDS
        self._relay = ApiClient(found.url, found.token, timeout=timeout)
        self._credentials = found
        self._ask_id: str | None = None  # of the ask that is open
        self._request: dict[str, Any] | None = None  # that may have opened one, by its event_id
        self._ends = 0.0

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            if kind is not None:
                self._withdraw()
        finally:
            self._relay.__exit__(kind, *exception)

    def open(
        self,
        question: str,
        options: Sequence[str] = (),
        *,
        seconds: float,
        details: Any = None,
        task_id: str | None = None,
    ) -> str:
        """Ask; returns the ask's id. Without options a text is asked for.

        `seconds` are rounded into 10 to 604 800. Repeats the request until then while Relay is
        away. Raises ApiError.
        """
        expires_in = max(MIN_SECONDS, min(round(seconds), MAX_SECONDS))
        body: dict[str, Any] = {"question": question, "kind": "choice" if options else "text"}
        body |= {"expires_in": expires_in, "event_id": new_id()}
        if options:
            body["options"] = list(options)
        if details is not None:
            body["details"] = details
        if task_id is not None:
            body["task_id"] = task_id
        self._ends = time.monotonic() + expires_in + GRACE_SECONDS
        self._request = body
        try:
            self._ask_id = _ask_id(self._call("POST", "/api/asks", body))
        except ApiError as error:
            if not error.is_temporary:
                self._request = None  # refused
            raise
        return self._ask_id

    def wait(self) -> AskOutcome:
        """Wait for the end of the ask. Raises ApiError if Relay is away for longer than that."""
        while time.monotonic() < self._ends:
            began = time.monotonic()
            ask = self._call("GET", f"/api/asks/{self._ask_id}?wait_s={self._wait_seconds}")
            if ask.get("state") in ("answered", "expired", "withdrawn"):
                self._ask_id = self._request = None
                return AskOutcome(ask["state"], ask.get("answer"))
            if time.monotonic() - began < EARLY_SECONDS:
                self._stopped.wait(EARLY_SECONDS)  # Relay stops, or another program answers
        raise ApiError("the ask is over, and Relay does not say how it ended", status=0)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call until it succeeds or is refused, or patience ends. Raises ApiError, Stopped."""
        attempt, ends = 0, self._ends
        if self._patience is not None:
            ends = min(ends, time.monotonic() + self._patience)
        while True:
            if self._stopped.is_set():
                raise Stopped()
            try:
                return self._relay.call(method, path, body)
            except ApiError as error:
                pause = pause_before(attempt, error.retry_after)
                if not error.is_temporary or time.monotonic() + pause > ends:
                    raise
                self._stopped.wait(pause)
                attempt += 1

    def _withdraw(self) -> None:
        """Withdraw what is open, if Relay answers now. Otherwise its time ends it.

        The same request finds the ask whose id is not known. The connection is a new one: a call
        on the other may have been interrupted.
        """
        if self._request is None:
            return
        found = self._credentials
        with suppress(ApiError), ApiClient(found.url, found.token, timeout=WITHDRAW_SECONDS) as api:
            ask_id = self._ask_id or _ask_id(api.call("POST", "/api/asks", self._request))
            api.call("DELETE", f"/api/asks/{ask_id}")


def _ask_id(answer: dict[str, Any]) -> str:
    """The id of the ask that was opened. Raises ApiError."""
    ask_id = answer.get("ask_id")
    if not isinstance(ask_id, str):
        raise ApiError("another program answered: this is no ask", status=0)
    return ask_id
