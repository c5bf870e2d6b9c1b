"""What is sent to a channel: a test of it, and what became of its notifications."""

import math
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.channels.channels import NoSuchChannel
from relay.channels.notification import TYPES, notification_id
from relay.db.channels import MadeTest, StoredDelivery, select_deliveries
from relay.db.notifications import MAX_DELIVERIES
from relay.errors import Problem, RateLimited
from relay.events import optional_rfc3339, rfc3339
from relay.schema_types import Examples, Identifier, Moment
from relay.shared_limits import Charge
from relay.web.answers import Answer, json_answer
from relay.web.named_channels import CHANNEL_ID, existing_channel
from relay.web.needs import SESSION
from relay.web.openapi.describe import described
from relay.web.rate_limits import READS, TOKENS, limited, over_limit
from relay.web.request import HTTPRequest
from relay.web.routes import needs

deliveries = Blueprint("deliveries", __name__)


class Delivery(msgspec.Struct, kw_only=True):
    """A notification of a channel. `outcome`: `waiting` until it is `delivered` or `failed`;
    `watched` if a page was looked at; `outdated` if its question was over before it was sent;
    `left_out` if too many waited."""

    notification_id: Annotated[str, Meta(description="The `webhook-id` of a webhook.")]
    type: str
    task_id: Identifier | None
    run: int | None
    made_at: Moment
    outcome: Annotated[
        str,
        Meta(pattern="^(waiting|delivered|failed|watched|outdated|left_out)$"),
    ]
    attempts: Annotated[int, Meta(ge=0)]
    status: Annotated[int | None, Meta(description="Of the receiver's last answer.")]
    error: str | None
    ended_at: Moment | None
    next_attempt_at: Annotated[Moment | None, Meta(description="Of one that waits.")]


class DeliveryList(msgspec.Struct):
    """The latest 50 notifications of the last 7 days, the newest first."""

    deliveries: list[Delivery]


class SentTest(msgspec.Struct):
    """The test is on its way: its delivery says what became of it."""

    notification_id: str


class ChannelBlocked(Problem):
    status, code, title = 409, "channel_blocked", "Nothing can be sent"
    hint = "The receiver has ended this channel, or too many notifications wait for it."


class ReceiverBusy(RateLimited):
    code, title = "receiver_busy", "The receiver asks to wait"
    hint = "The receiver has asked not to be called for the seconds in Retry-After."


_MESSAGE = "msg_5f0c8a8e1d374c52b7a42f6f1be0a913"

_DELIVERY = Delivery(
    notification_id=_MESSAGE,
    type="task.failed",
    task_id="build-7",
    run=1,
    made_at=Examples.NOW,
    outcome="delivered",
    attempts=1,
    status=204,
    error=None,
    ended_at=Examples.NOW,
    next_attempt_at=None,
)


@deliveries.post("/api/channels/<channel_id>/test")
@described(
    "channels",
    parameters=(CHANNEL_ID,),
    answers={202: SentTest(_MESSAGE)},
    refuses=(NoSuchChannel, ChannelBlocked, ReceiverBusy),
)
@limited(TOKENS)
@needs(SESSION)
async def test_channel(request: HTTPRequest) -> Answer:
    """Send a test to a channel, whatever its rules are.

    It counts for the rates of the channel and of the user.
    """
    channel_id, credential = await existing_channel(request), request.credential
    if not request.services.settings.notify:
        raise ChannelBlocked("This Relay sends no notifications: RELAY_NOTIFY is off.")
    made = await request.services.channels.test(credential.user_id, channel_id, by=credential.id)
    if made.notification_id is None:
        raise _in_the_way(request, made, channel_id)
    return json_answer(SentTest(notification_id(made.notification_id)), 202)


@deliveries.get("/api/channels/<channel_id>/deliveries")
@described(
    "channels",
    parameters=(CHANNEL_ID,),
    answers={200: DeliveryList([_DELIVERY])},
    refuses=(NoSuchChannel,),
)
@limited(READS)
@needs(SESSION)
async def list_deliveries(request: HTTPRequest) -> Answer:
    """List the latest notifications of a channel, and what became of them."""
    channel_id = await existing_channel(request)
    found = await select_deliveries(
        request.services.database,
        request.credential.user_id,
        channel_id,
        at_most=MAX_DELIVERIES,
    )
    return json_answer(DeliveryList([_delivery(one) for one in found]))


def _in_the_way(request: HTTPRequest, made: MadeTest, channel_id: UUID) -> Problem:
    """Why a test was not made."""
    settings, wait = request.services.settings, made.wait_s or 0.0
    if made.outcome == "channel":
        rate, of = settings.rate_channel, "notifications of this channel"
        return over_limit(request, Charge("channel", channel_id, rate, 1, of), wait)
    if made.outcome == "user":
        rate, of = settings.rate_notifications, "notifications of all your channels"
        user_id = request.credential.user_id
        return over_limit(request, Charge("notifications", user_id, rate, 1, of), wait)
    if made.outcome == "asked":
        seconds = max(1, math.ceil(wait))
        detail = f"The receiver has asked Relay to wait: try again in {seconds} s."
        return ReceiverBusy(detail, retry_after=seconds)
    return ChannelBlocked()


def _delivery(stored: StoredDelivery) -> Delivery:
    return Delivery(
        notification_id=notification_id(stored.notification_id),
        type=TYPES[stored.state],
        task_id=stored.task_id,
        run=stored.run,
        made_at=rfc3339(stored.made_at),
        outcome=stored.outcome,
        attempts=stored.attempts,
        status=stored.status,
        error=stored.error,
        ended_at=optional_rfc3339(stored.ended_at),
        next_attempt_at=optional_rfc3339(stored.due_at),
    )
