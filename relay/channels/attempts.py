"""One attempt to send a notification that was taken from the outbox, and what follows from it."""

import msgspec
import structlog
import trio

from relay.channels.backoff import next_pause
from relay.channels.kinds import KINDS
from relay.channels.kinds.base import Delivered, KindContext, Outcome, Refused, Retry
from relay.channels.notification import (
    TEST,
    TYPES,
    Notification,
    notification_id,
    task_url,
)
from relay.channels.sealing import CannotOpen, Sealed, channel_label
from relay.channels.urls import load_httpx
from relay.db.notifications import Finished, Result, TakenNotification
from relay.errors import DatabaseAway
from relay.observability import metrics

ATTEMPT_SECONDS = 30.0  # of any kind; the calls of most are bounded more tightly
MAX_ERROR_CHARACTERS = 200

log = structlog.get_logger("relay.channels")


class Attempts:
    """Makes attempts with what kinds use of the process."""

    def __init__(self, context: KindContext) -> None:
        self._context = context

    async def attempt(self, taken: TakenNotification) -> Finished:
        """Send a notification once; returns what became of it. No failure is raised."""
        if taken.ask_is_open is False:
            return _finished(taken, "outdated", error="the question was answered or is over")
        began = trio.current_time()
        outcome = await self._send(taken)
        age = taken.age.total_seconds() + trio.current_time() - began
        if isinstance(outcome, Delivered):
            if taken.attempts == 1:
                metrics.notification_seconds.observe(age)
            return _finished(taken, "delivered", status=outcome.status)
        if isinstance(outcome, Refused):
            # it will mostly refuse the next one, too: those that wait may meet it mended
            return _finished(
                taken,
                "failed",
                status=outcome.status,
                error=outcome.reason,
                channel_pause_s=next_pause(taken.failures + 1, 0.0),
                ends_channel=outcome.ends_channel,
            )
        return self._tried_again(taken, outcome, age)

    def _tried_again(self, taken: TakenNotification, outcome: Retry, age: float) -> Finished:
        """What follows from a failure: when it is due again, or that its day is over."""
        in_a_row, wanted = taken.failures + 1, outcome.after_s
        pause = next_pause(max(taken.attempts, in_a_row), age, wanted_s=wanted)
        # one that this receiver never takes does not hold up the others for as long
        channel_pause = (
            next_pause(in_a_row, 0.0, wanted_s=wanted) if outcome.pauses_channel else None
        )
        if pause is None:
            log.warning("notification_given_up", kind=taken.kind, attempts=taken.attempts)
            error = f"given up after a day: {outcome.reason}"
            return _finished(
                taken,
                "failed",
                status=outcome.status,
                error=error,
                channel_pause_s=channel_pause,
                asked_s=wanted,
            )
        return _finished(
            taken,
            "retry",
            status=outcome.status,
            error=outcome.reason,
            pause_s=pause,
            channel_pause_s=channel_pause,
            asked_s=wanted,
        )

    async def _send(self, taken: TakenNotification) -> Outcome:
        kind = KINDS.get(taken.kind)
        if kind is None:  # of a newer version, whose processes send it
            return Retry("this version does not know this kind of channel")
        try:
            secret = self._context.vault.open(
                Sealed(taken.kid, taken.sealed), channel_label(taken.channel_id)
            )
        except CannotOpen as error:
            return Retry(f"its settings cannot be read: {error}")
        try:
            settings = msgspec.json.decode(secret, type=kind.settings)
            notification = notification_of(taken, self._context.base_url)
            await load_httpx()
            with trio.fail_after(ATTEMPT_SECONDS):
                return await kind.send(settings, notification, self._context)
        except trio.TooSlowError:
            return Retry("it took too long")
        except DatabaseAway:  # no fault of the receiver, and over at once for all
            return Retry("Relay's database did not answer", pauses_channel=False)
        except Exception as error:  # a fault of one kind must end neither the process nor others
            log.error("notification_fault", kind=taken.kind, exc_info=error)
            return Retry("Relay failed unexpectedly; its log has the cause")


def notification_of(taken: TakenNotification, base_url: str) -> Notification:
    """The notification as its channel sends it."""
    return Notification(
        id=notification_id(taken.notification_id),
        type=TYPES[taken.state],
        timestamp=taken.made_at,
        url=task_url(base_url, taken.task_id),
        task_id=taken.task_id,
        run=taken.run,
        state=None if taken.state == TEST else taken.state,
        title=taken.title,
        message=taken.message if taken.with_message else None,
        exit_code=taken.exit_code,
        duration_s=taken.duration_s,
        ask_id=None if taken.ask_id is None else str(taken.ask_id),
        question=taken.question,
        options=tuple(taken.options or ()),
        question_hash=taken.question_hash,
        has_details=taken.has_details,
    )


def _finished(
    taken: TakenNotification,
    result: Result,
    *,
    status: int | None = None,
    error: str | None = None,
    pause_s: float | None = None,
    channel_pause_s: float | None = None,
    asked_s: float | None = None,
    ends_channel: bool = False,
) -> Finished:
    metrics.notifications.labels(taken.kind, result).inc()
    return Finished(
        user_id=taken.user_id,
        position=taken.position,
        channel_id=taken.channel_id,
        result=result,
        status=status,
        error=None if error is None else error[:MAX_ERROR_CHARACTERS],
        pause_s=pause_s,
        channel_pause_s=channel_pause_s,
        asked_s=asked_s,
        ends_channel=ends_channel,
        sealed=taken.sealed,
    )
