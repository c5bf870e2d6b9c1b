"""What all connections of one server share."""

import msgspec
import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework, LifespanState

from .common_headers import CommonHeaders
from .connections import Connections
from .limits import ConnectionLimits
from .observer import Observer
from .refusals import Refusals


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """One a server, made when its application has started."""

    app: ASGIFramework
    config: Config  # Hypercorn's
    limits: ConnectionLimits
    observer: Observer
    refusals: Refusals
    common_headers: CommonHeaders
    connections: Connections
    lifespan_state: LifespanState
    stopping: trio.Event
    """Set when the server stops: then no connection waits for another request."""
