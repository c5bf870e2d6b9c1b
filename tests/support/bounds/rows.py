"""Every bound at which callers are refused or wait, and what becomes of 64 of them."""

from functools import partial
from itertools import count
from typing import Any

from relay.db.reader_turns import MAX_CALLS_OF_USER, ReaderTurns
from relay.downloads import MAX_OF_USER
from relay.ingest.fair_queue import SLOTS, SLOTS_ALONE
from relay.web.body_budget import BodyBudget
from tests.support.bounds.callers import CALLERS, FREE, Row
from tests.support.bounds.kinds import (
    SLOW_BODY,
    asks,
    channels,
    exports,
    links,
    one_ticket,
    padded,
    queued,
    reads,
    slots,
    slow_bodies,
    tokens,
    watchers,
)
from tests.support.bounds.rate_rows import PROXIED, RATES, over
from tests.support.bounds.rates import batch
from tests.support.relay_server import User

FIFTH = "x" * (65_536 // FREE - 2)  # of 64 KiB, with its quotes
ALONE = {"relay.ingest.fair_queue.ALONE_AFTER_SECONDS": 0.0}  # no other user is waited for


class _HastyTurns(ReaderTurns):
    """Turns that are soon missed, and not because the database does not answer."""

    def __init__(self, of_user: int, of_all: float, timeout: float) -> None:
        self._reads = count()
        super().__init__(of_user, of_all, timeout / 600)

    def __getattribute__(self, name: str) -> Any:
        return next(self._reads) if name == "_read" else super().__getattribute__(name)


def refused(bound: str) -> str:
    return f'relay_streams_refused_total{{bound="{bound}"}}'


STREAMS = [
    Row(
        bound="max_connections_per_user",
        callers=partial(watchers, 1, CALLERS),
        settings={**PROXIED, "RELAY_MAX_CONNECTIONS_PER_USER": f"{FREE}"},
        code="too_many_connections",
        metric=refused("user"),
    ),
    Row(
        bound="max_connections_per_address",
        callers=partial(watchers, 3, 1),
        settings={**PROXIED, "RELAY_MAX_CONNECTIONS_PER_ADDRESS": f"{FREE}"},
        code="too_many_connections",
        metric=refused("address"),
    ),
    Row(
        bound="max_connections",
        callers=partial(watchers, 3, 3),
        settings={**PROXIED, "RELAY_MAX_CONNECTIONS": f"{FREE}"},
        code="process_full",
        metric=refused("process"),
    ),
]

ONE_USE = Row(
    bound="ticket",  # which is used once, and no setting changes that
    callers=one_ticket,
    accepted=1,
    code="invalid_token",
    metric='relay_auth_failures_total{reason="ticket"}',
)

full = partial(Row, patches=ALONE, code="journal_full", metric="relay_journal_full_total")

QUEUES = [
    full(
        bound="queue_events",
        callers=partial(queued, partial(batch, lines=2)),
        settings={"RELAY_QUEUE_EVENTS": f"{2 * FREE}"},
    ),
    full(
        bound="queue_bytes",
        callers=partial(queued, partial(User.post, payload=FIFTH)),
        settings={"RELAY_QUEUE_BYTES": "65536"},
    ),
    full(
        bound="queue_bytes",
        name="bodies",
        # a user gets half of twice the bound
        callers=partial(queued, partial(padded, size=100_000)),
        settings={"RELAY_QUEUE_BYTES": f"{FREE * 100_000}"},
    ),
    Row(
        bound="relay.ingest.fair_queue.SLOTS_ALONE",
        callers=partial(slots, SLOTS_ALONE, 0),
        patches=ALONE,
        accepted=CALLERS,
        metric="relay_publish_waits_total",
        counted=CALLERS - SLOTS_ALONE,
    ),
    Row(
        bound="relay.ingest.fair_queue.SLOTS",
        callers=partial(slots, SLOTS, 1),
        accepted=CALLERS,
        metric="relay_publish_waits_total",
        counted=CALLERS - SLOTS,
    ),
    Row(
        bound="relay.db.reader_turns.MAX_CALLS_OF_USER",
        callers=reads,
        patches={"relay.services.ReaderTurns": _HastyTurns},
        accepted=MAX_CALLS_OF_USER,
        metric=over("reads_at_once"),
    ),
    Row(
        bound="relay.web.body_budget.MAX_BYTES",
        callers=slow_bodies,
        settings={"RELAY_BODY_TIMEOUT": "600"},
        patches={"relay.app.BodyBudget": partial(BodyBudget, FREE * len(SLOW_BODY))},
        code="request_timeout",
        metric="relay_bodies_displaced_total",
    ),
]

CREDENTIALS = [
    Row(
        bound="relay.asks.asks.MAX_OPEN_ASKS",
        callers=asks,
        success=201,
        code="too_many_asks",
    ),
    Row(
        bound="relay.channels.channels.MAX_CHANNELS",
        callers=channels,
        success=201,
        code="too_many_channels",
    ),
    Row(
        bound="relay.auth.tokens.MAX_ACTIVE_TOKENS",
        callers=tokens,
        success=201,
        code="too_many_tokens",
    ),
    Row(
        bound="relay.web.sessions.MAX_SESSIONS",
        callers=links,
        success=201,
        code="link_gone",
    ),
]

DOWNLOADS = [
    Row(
        bound="relay.downloads.MAX_OF_USER",
        callers=exports,
        accepted=MAX_OF_USER,
        code="too_many_connections",
    ),
    Row(
        bound="relay.downloads.MAX_OF_ADDRESS",
        callers=exports,
        patches={
            "relay.downloads.MAX_OF_USER": CALLERS,
            "relay.downloads.MAX_OF_ADDRESS": FREE,
        },
        code="too_many_connections",
    ),
    Row(
        bound="relay.downloads.MAX_OF_PROCESS",
        callers=exports,
        patches={
            "relay.downloads.MAX_OF_USER": CALLERS,
            "relay.downloads.MAX_OF_PROCESS": FREE,
        },
        code="process_full",
    ),
]

ROWS = [*RATES, *STREAMS, *QUEUES, *CREDENTIALS, *DOWNLOADS]
