"""Channels of a user: added, listed and removed."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.auth.credentials import Credential
from relay.channels.channels import NoSuchChannel, TooManyChannels
from relay.channels.kinds import KINDS, AnyChannelRequest
from relay.channels.notification import EVENTS, Event
from relay.db.channels import StoredChannel, remove_channel, select_channels
from relay.errors import PushKeysSealed
from relay.events import optional_rfc3339, rfc3339
from relay.media_types import JSON
from relay.schema_types import Examples, Moment, Uuid
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.mail_codes import check_mail_code
from relay.web.named_channels import CHANNEL_ID, named_channel
from relay.web.needs import SESSION
from relay.web.openapi.describe import Link, Text, described
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
    this_session: Annotated[
        bool, Meta(description="Added by the session that asks: a device ends with its session.")
    ]
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


CHANNEL = ChannelView(
    channel_id=Examples.TOKEN_ID,
    kind="webhook",
    shown={"url": "https://hooks.example/…elay"},
    on=["failed", "lost", "waiting", "succeeded"],
    min_duration_s=120.0,
    unless_watched=True,
    message=True,
    this_session=True,
    created_at=Examples.NOW,
    waiting=0,
    delivered_at=Examples.NOW,
    failed_at=None,
    last_error=None,
    ended_at=None,
)


@channels.get("/api/channels")
@described("channels", answers={200: ChannelList([CHANNEL], list(KINDS))})
@limited(READS)
@needs(SESSION)
async def list_channels(request: HTTPRequest) -> Answer:
    """List the user's channels."""
    credential = request.credential
    found = await select_channels(request.services.database, credential.user_id)
    views = [_view(one, credential) for one in found]
    return json_answer(ChannelList(views, request.services.channels.addable_kinds))


@channels.post("/api/channels")
@described(
    "channels",
    body={JSON: tuple(kind.example for kind in KINDS.values())},
    answers={
        201: AddedChannel(
            channel_id=Examples.TOKEN_ID,
            signing_secret="whsec_4Ym0ZkqLJ0F6h1cXbE1oC7m2mJr2yq1P0kq0Gx8i9bQ=",
        ),
        200: AddedChannel(channel_id=Examples.TOKEN_ID),
    },
    links=(Link("list_deliveries", parameters={"channel_id": "channel_id"}),),
    refuses=(NoSuchChannel, TooManyChannels, PushKeysSealed),
)
@limited(TOKENS)
@needs(SESSION)
async def add_channel(request: HTTPRequest) -> Answer:
    """Add a channel. Its rules decide what is sent, and when.

    A device that has a channel is not added again: its channel is replaced, and keeps its id.
    """
    wanted = await read_json(request, AnyChannelRequest)
    await check_mail_code(request, wanted)
    credential = request.credential
    added = await request.services.channels.add(credential.user_id, wanted, by=credential.id)
    answer = AddedChannel(channel_id=str(added.channel_id))
    if "signing_secret" in added.issued:
        answer.signing_secret = added.issued["signing_secret"]
    return json_answer(answer, 200 if added.replaced else 201)


@channels.delete("/api/channels/<channel_id>")
@described(
    "channels",
    parameters=(CHANNEL_ID,),
    answers={204: Text("It is removed, with what waited for it.")},
    refuses=(NoSuchChannel,),
)
@limited(TOKENS)
@needs(SESSION)
async def end_channel(request: HTTPRequest) -> Answer:
    """Remove a channel."""
    credential = request.credential
    if not await remove_channel(
        request.services.database, credential.user_id, named_channel(request), by=credential.id
    ):
        raise NoSuchChannel()
    return Answer(204, [], b"")


def _view(channel: StoredChannel, credential: Credential) -> ChannelView:
    return ChannelView(
        channel_id=str(channel.channel_id),
        kind=channel.kind,
        shown=msgspec.json.decode(channel.shown, type=dict[str, str]),
        on=[event for event in EVENTS if event in channel.events],
        min_duration_s=channel.min_duration_s,
        unless_watched=channel.unless_watched,
        message=channel.with_message,
        this_session=channel.created_by == credential.id,
        created_at=rfc3339(channel.created_at),
        waiting=channel.waiting,
        delivered_at=optional_rfc3339(channel.delivered_at),
        failed_at=optional_rfc3339(channel.failed_at),
        last_error=channel.last_error,
        ended_at=optional_rfc3339(channel.ended_at),
    )
