"""What all connections of one server share."""

from dataclasses import dataclass

import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework, LifespanState

from .connections import Connections
from .limits import ConnectionLimits
from .observer import Observer
from .refusals import Refusals
from .stamp import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerContext:
    """One a server, made when its application has started."""

    app: ASGIFramework
    config: Config  # Hypercorn's
    limits: ConnectionLimits
    observer: Observer
    refusals: Refusals
    stamp: Stamp
    connections: Connections
    lifespan_state: LifespanState
    stopping: trio.Event
    """Set when the server stops: then no connection waits for another request."""
