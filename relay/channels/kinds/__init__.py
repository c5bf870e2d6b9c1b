"""The kinds of channels, one module each."""

from typing import Any, Union

from relay.channels.kinds.base import AnyKind, ChannelRequest
from relay.channels.kinds.discord import Discord
from relay.channels.kinds.email import Email
from relay.channels.kinds.ntfy import Ntfy
from relay.channels.kinds.slack import Slack
from relay.channels.kinds.webhook import Webhook
from relay.channels.kinds.webpush import WebPush

_ALL: tuple[AnyKind, ...] = (Webhook(), WebPush(), Ntfy(), Slack(), Discord(), Email())

KINDS: dict[str, AnyKind] = {kind.name: kind for kind in _ALL}
"""Each kind by its name."""

_BY_REQUEST: dict[type[ChannelRequest], AnyKind] = {kind.request: kind for kind in _ALL}


def kind_of(request: ChannelRequest) -> AnyKind:
    """The kind that a request asks for."""
    return _BY_REQUEST[type(request)]


AnyChannelRequest: Any = Union[tuple(kind.request for kind in KINDS.values())]  # noqa: UP007
"""The type of a request for any of them; its field `kind` says which."""
