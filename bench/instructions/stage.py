"""A Relay that is counted: its real server, application and journal, on a stand-in database."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import trio

from bench.instructions.clients import ADDRESS
from bench.instructions.database import StandInDatabase
from bench.peer import Endpoint
from relay.app import Relay, create_app, with_middleware
from relay.auth.tokens import Claims, Kind, Scope
from relay.background.health import ProcessHealth
from relay.config.hypercorn import server_config
from relay.config.parsers import SigningKey
from relay.config.settings import Settings
from relay.db.pool import Database
from relay.db.source import Source
from relay.server.limits import ConnectionLimits
from relay.server.listeners import open_sockets
from relay.server.serve import ServerConfig, serve
from relay.services import build_services
from relay.serving import MetricsObserver

# The limits are checked, and never reached.
SETTINGS = {
    "RELAY_BIND": f"{ADDRESS}:0",
    "RELAY_RATE_EVENTS_PER_TOKEN": "100000000/s",
    "RELAY_RATE_EVENTS_PER_ADDRESS": "100000000/s",
    "RELAY_RATE_HANDSHAKES": "100000000/s",
    "RELAY_MAX_CONNECTIONS_PER_USER": "1000",
}
BASE_URL = "http://relay.test"
KEYS = (SigningKey("bench", bytes(32)),)
TOKEN_SECONDS = 86_400


class Stage:
    """A serving Relay, for clients in the same process."""

    def __init__(self, app: Relay, port: int) -> None:
        self.app = app
        self.services = app.services
        self.port = port

    def new_user(self) -> tuple[UUID, Endpoint]:
        """A user with a hook token that may publish and watch."""
        user_id, now = uuid4(), int(time.time())
        claims = Claims(
            *(user_id, uuid4(), Kind.HOOK, (Scope.WEBHOOK,), now),
            expires_at=now + TOKEN_SECONDS,
        )
        token = self.services.credentials.keyring.issue(claims)
        return user_id, Endpoint(self.port, headers=(f"Authorization: Bearer {token}",))


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Serve for the length of the block, on a clock that stands still."""
    settings = Settings.load(SETTINGS)
    config = server_config(settings, Path("/nonexistent"))
    source = Source("", "", KEYS, "none", None, shared=False)
    database = cast("Database", StandInDatabase())
    services = build_services(settings, source, BASE_URL, database, ProcessHealth())
    services.revocations.note_success(trio.current_time())  # on this clock it stays the latest
    app = create_app(settings)
    app.services = services
    serving = partial(
        serve,
        with_middleware(app, settings, BASE_URL),
        open_sockets(config),
        ServerConfig(hypercorn=config, limits=ConnectionLimits(), observer=MetricsObserver()),
        shutdown_trigger=trio.sleep_forever,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(services.credentials.run)
        nursery.start_soon(services.heads.run)
        await nursery.start(services.publisher.journal.run)
        (url,) = await nursery.start(serving)
        yield Stage(app, urlsplit(url).port or 0)
        nursery.cancel_scope.cancel()
