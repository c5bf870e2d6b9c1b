"""Delivers events with retries, at the pace that Relay's rate limits allow."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from relay.cli.exit_codes import NOT_AUTHORISED, RELAY_AWAY, Failed
from relay.cli.output import note
from relay.client.drafts import encode_json, new_id, now
from relay.client.post_answers import Refused, Stored
from relay.client.posting import EventPoster
from relay.client.retry_pauses import pause_before

# Times in a row that the same events are refused by a rate limit after the wait that Relay asked
# for. More means that other senders take all that becomes free.
MAX_LIMITED_ATTEMPTS = 10
NOTED_PAUSE_SECONDS = 2.0  # a shorter pause needs no explanation


class Delivery:
    """Sends the events of one command, in order.

    `wait` is how many seconds to retry while Relay is away or busy. With `paced`, the time that a
    rate limit asks for does not count: Relay is there, and says when it takes more.
    """

    def __init__(self, posting: EventPoster, wait: float, *, paced: bool) -> None:
        self._posting = posting
        self._wait = wait
        self._paced = paced
        self._most: int | None = None  # events at once, if a limit is lower than a batch
        self._pace_noted = False
        self.under_way = False  # events were handed over that are not stored yet

    def send(self, events: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Send events by line number; 0 for the one of the command line. Raises Failed.

        Yields the last line that is stored, and its receipt: one for all, or for each part if a
        rate limit allows fewer at once.
        """
        waiting = {at: encode_json(_with_defaults(event)) for at, event in events.items()}
        self.under_way = True
        while waiting:
            part = dict(list(waiting.items())[: self._most])
            self._keep_pace(len(part))
            receipt = self._store(part)
            if receipt is None:
                continue  # in smaller parts
            waiting = {at: line for at, line in waiting.items() if at not in part}
            self.under_way = bool(waiting)
            yield max(part), receipt

    def _keep_pace(self, events: int) -> None:
        """Wait until so many events are allowed, as far as the last answer tells."""
        quota = self._posting.quota
        if self._paced and quota is not None and (pause := quota.wait_for(events)) > 0:
            self._pause_for_limit(pause, quota.rate)

    def _pause_for_limit(self, pause: float, rate: float) -> None:
        if pause > NOTED_PAUSE_SECONDS and not self._pace_noted:
            self._pace_noted = True
            note(f"relay: Relay takes about {rate:.3g} events a second now; sending goes on so.")
        time.sleep(pause)

    def _store(self, part: Mapping[int, bytes]) -> dict[str, Any] | None:
        """Post until the events are stored. None if fewer are allowed at once. Raises Failed."""
        lines = list(part.values())
        until = time.monotonic() + self._wait
        attempt = limited = 0
        while True:
            if len(lines) == 1:
                answer = self._posting.one(lines[0])
            else:
                answer = self._posting.many([line + b"\n" for line in lines])
            if isinstance(answer, Stored):
                return answer.receipt
            if isinstance(answer, Refused):
                if answer.is_authorization_error:
                    raise Failed(answer.why, NOT_AUTHORISED)
                raise Failed(_with_stdin_lines(answer.why, list(part)))
            quota = self._posting.quota
            pause = pause_before(attempt, answer.retry_after)
            if self._paced and quota is not None and quota.is_exceeded:
                if len(lines) > quota.limit:
                    self._most = quota.limit
                    return None
                limited += 1
                if limited > MAX_LIMITED_ATTEMPTS:
                    raise Failed(f"not stored: {answer.why}", RELAY_AWAY)
                self._pause_for_limit(pause, quota.rate)
                until = time.monotonic() + self._wait
                continue
            if time.monotonic() + pause >= until:
                raise Failed(f"not stored: {answer.why}", RELAY_AWAY)
            time.sleep(pause)
            attempt += 1


def _with_defaults(event: Mapping[str, Any]) -> dict[str, Any]:
    """Add `ts` and `event_id` if they are missing. A retry sends the same event."""
    return {"ts": now(), "event_id": new_id(), **event}


def _with_stdin_lines(why: str, numbers: list[int]) -> str:
    """Replace line numbers of the request by line numbers of stdin."""
    if len(numbers) == 1:
        return f"line {numbers[0]} of stdin: {why}" if numbers[0] else why

    def numbered(found: re.Match[str]) -> str:
        at = int(found[1])
        return f"line {numbers[at - 1]}" if 1 <= at <= len(numbers) else found[0]

    return re.sub(r"\bline (\d{1,6})\b", numbered, why)
