"""Channels of a user: added, listed, tested, removed, and what became of their notifications."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.channels.channels import MAX_CHANNELS
from relay.channels.kinds import KINDS, AnyChannelRequest
from relay.channels.notification import Event, notification_id
from relay.db.channels import (
    StoredChannel,
    StoredDelivery,
    has_channel,
    remove_channel,
    select_channels,
    select_deliveries,
)
from relay.db.notifications import MAX_DELIVERIES
from relay.errors import NotFound, Problem
from relay.events import parse_uuid, rfc3339
from relay.media_types import JSON
from relay.schema_types import Examples, Identifier, Moment, Uuid
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.mail_codes import addable_kinds, check_mail_code
from relay.web.needs import SESSION
from relay.web.openapi.describe import Link, Parameter, Text, described
from relay.web.rate_limits import READS, TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

channels = Blueprint("channels", __name__)


class ChannelView(msgspec.Struct, kw_only=True):
    """A channel without its secrets. `waiting` notifications are on their way to it."""

    channel_id: Uuid
    kind: Annotated[str, Meta(description="What it is: webhook, or another kind.")]
    shown: Annotated[dict[str, str], Meta(description="What tells it apart, without secrets.")]
    on: Annotated[list[Event], Meta(description="The states of tasks that make a notification.")]
    min_duration_s: Annotated[
        float, Meta(ge=0, description="Of a task that succeeded: shorter ones are left out.")
    ]
    unless_watched: bool
    message: bool
    created_at: Moment
    waiting: Annotated[int, Meta(ge=0)]
    delivered_at: Annotated[Moment | None, Meta(description="When it last took one.")]
    failed_at: Annotated[Moment | None, Meta(description="When one last failed.")]
    last_error: Annotated[str | None, Meta(description="Why that was.")]
    ended_at: Annotated[
        Moment | None, Meta(description="When the receiver ended it. Nothing is sent any more.")
    ]


class AddedChannel(msgspec.Struct, kw_only=True):
    """The channel. `signing_secret` is shown this once: with it the receiver checks a webhook."""

    channel_id: Uuid
    signing_secret: str | UnsetType = UNSET


class ChannelList(msgspec.Struct):
    """The user's channels, in the order in which they were added."""

    channels: list[ChannelView]
    kinds: Annotated[list[str], Meta(description="The kinds that can be added here.")]


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


class NoSuchChannel(NotFound):
    hint = "There is no such channel."


class TooManyChannels(Problem):
    status, code, title = 409, "too_many_channels", "Too many channels"
    hint = f"This user has {MAX_CHANNELS} channels. Remove one first."


class ChannelBlocked(Problem):
    status, code, title = 409, "channel_blocked", "Nothing can be sent"
    hint = "The receiver has ended this channel, or too many notifications wait for it."


_PATH = Parameter("channel_id", Uuid, "The channel.", Examples.TOKEN_ID, "path")
_MESSAGE = "msg_5f0c8a8e1d374c52b7a42f6f1be0a913"

CHANNEL = ChannelView(
    channel_id=Examples.TOKEN_ID,
    kind="webhook",
    shown={"url": "https://hooks.example/…elay"},
    on=["failed", "lost", "waiting", "succeeded"],
    min_duration_s=120.0,
    unless_watched=True,
    message=True,
    created_at=Examples.NOW,
    waiting=0,
    delivered_at=Examples.NOW,
    failed_at=None,
    last_error=None,
    ended_at=None,
)
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


@channels.get("/api/channels")
@described("channels", answers={200: ChannelList([CHANNEL], list(KINDS))})
@limited(READS)
@needs(SESSION)
async def list_channels(request: HTTPRequest) -> Answer:
    """List the user's channels."""
    found = await select_channels(request.services.database, request.credential.user_id)
    return json_answer(ChannelList([_view(one) for one in found], addable_kinds(request)))


@channels.post("/api/channels")
@described(
    "channels",
    body={JSON: tuple(kind.example for kind in KINDS.values())},
    answers={
        201: AddedChannel(
            channel_id=Examples.TOKEN_ID,
            signing_secret="whsec_4Ym0ZkqLJ0F6h1cXbE1oC7m2mJr2yq1P0kq0Gx8i9bQ=",
        )
    },
    links=(Link("list_deliveries", parameters={"channel_id": "channel_id"}),),
    refuses=(TooManyChannels,),
)
@limited(TOKENS)
@needs(SESSION)
async def add_channel(request: HTTPRequest) -> Answer:
    """Add a channel. Its rules decide what is sent, and when."""
    wanted = await read_json(request, AnyChannelRequest)
    await check_mail_code(request, wanted)
    credential = request.credential
    added = await request.services.channels.add(credential.user_id, wanted, by=credential.id)
    if added is None:
        raise TooManyChannels()
    answer = AddedChannel(channel_id=str(added.channel_id))
    if "signing_secret" in added.issued:
        answer.signing_secret = added.issued["signing_secret"]
    return json_answer(answer, 201)


@channels.delete("/api/channels/<channel_id>")
@described(
    "channels",
    parameters=(_PATH,),
    answers={204: Text("It is removed, with what waited for it.")},
    refuses=(NoSuchChannel,),
)
@limited(TOKENS)
@needs(SESSION)
async def end_channel(request: HTTPRequest) -> Answer:
    """Remove a channel."""
    credential = request.credential
    if not await remove_channel(
        request.services.database, credential.user_id, _channel_id(request), by=credential.id
    ):
        raise NoSuchChannel()
    return Answer(204, [], b"")


@channels.post("/api/channels/<channel_id>/test")
@described(
    "channels",
    parameters=(_PATH,),
    answers={202: SentTest(_MESSAGE)},
    refuses=(NoSuchChannel, ChannelBlocked),
)
@limited(TOKENS)
@needs(SESSION)
async def test_channel(request: HTTPRequest) -> Answer:
    """Send a test to a channel, whatever its rules are."""
    channel_id, credential = await _existing(request), request.credential
    made = await request.services.channels.test(credential.user_id, channel_id, by=credential.id)
    if made is None:
        raise ChannelBlocked()
    return json_answer(SentTest(notification_id(made)), 202)


@channels.get("/api/channels/<channel_id>/deliveries")
@described(
    "channels",
    parameters=(_PATH,),
    answers={200: DeliveryList([_DELIVERY])},
    refuses=(NoSuchChannel,),
)
@limited(READS)
@needs(SESSION)
async def list_deliveries(request: HTTPRequest) -> Answer:
    """List the latest notifications of a channel, and what became of them."""
    channel_id = await _existing(request)
    found = await select_deliveries(
        request.services.database,
        request.credential.user_id,
        channel_id,
        at_most=MAX_DELIVERIES,
    )
    return json_answer(DeliveryList([_delivery(one) for one in found]))


async def _existing(request: HTTPRequest) -> UUID:
    """The channel of the path, which the user has. Raises NoSuchChannel."""
    channel_id = _channel_id(request)
    user_id = request.credential.user_id
    if not await has_channel(request.services.database, user_id, channel_id):
        raise NoSuchChannel()
    return channel_id


def _channel_id(request: HTTPRequest) -> UUID:
    channel_id = parse_uuid(request.path_args["channel_id"])
    if channel_id is None:
        raise NoSuchChannel()
    return channel_id


def _view(channel: StoredChannel) -> ChannelView:
    return ChannelView(
        channel_id=str(channel.channel_id),
        kind=channel.kind,
        shown=msgspec.json.decode(channel.shown, type=dict[str, str]),
        on=list(channel.events),  # type: ignore[arg-type]
        min_duration_s=channel.min_duration_s,
        unless_watched=channel.unless_watched,
        message=channel.with_message,
        created_at=rfc3339(channel.created_at),
        waiting=channel.waiting,
        delivered_at=None if channel.delivered_at is None else rfc3339(channel.delivered_at),
        failed_at=None if channel.failed_at is None else rfc3339(channel.failed_at),
        last_error=channel.last_error,
        ended_at=None if channel.ended_at is None else rfc3339(channel.ended_at),
    )


def _delivery(stored: StoredDelivery) -> Delivery:
    return Delivery(
        notification_id=notification_id(stored.notification_id),
        type="channel.test" if stored.state == "test" else f"task.{stored.state}",
        task_id=stored.task_id,
        run=stored.run,
        made_at=rfc3339(stored.made_at),
        outcome=stored.outcome,
        attempts=stored.attempts,
        status=stored.status,
        error=stored.error,
        ended_at=None if stored.ended_at is None else rfc3339(stored.ended_at),
        next_attempt_at=None if stored.due_at is None else rfc3339(stored.due_at),
    )
