"""Every bound at which callers are refused or wait, and what becomes of 64 of them."""

from functools import partial

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
    slots,
    slow_bodies,
    tokens,
    watchers,
)
from tests.support.bounds.rates import (
    batch,
    batches,
    beats,
    calls,
    events,
    invented_beats,
    mailed_codes,
    sign_ups,
    unknown_asks,
)
from tests.support.relay_server import User

RATE = f"{FREE}/h"  # a place comes back after 12 minutes
LIMITED = {"RELAY_RATE_LIMITS": "on"}
PROXIED = {"RELAY_TRUSTED_PROXIES": "1"}
SMTP = {"RELAY_SMTP_URL": "smtp://127.0.0.1:9", "RELAY_SMTP_FROM": "a@b.c"}
MAIL = {**LIMITED, **SMTP}  # none listens there: 503
FIFTH = "x" * (65_536 // FREE - 2)  # of 64 KiB, with its quotes
ALONE = {"relay.ingest.fair_queue.ALONE_AFTER_SECONDS": 0.0}  # no other user is waited for


def over(limit: str) -> str:
    return f'relay_rate_limited_total{{limit="{limit}"}}'


def refused(bound: str) -> str:
    return f'relay_streams_refused_total{{bound="{bound}"}}'


RATES = [
    Row(
        bound="rate_events_per_token",
        callers=partial(events, 1),
        settings={**LIMITED, "RELAY_RATE_EVENTS_PER_TOKEN": RATE},
        metric=over("events_token"),
    ),
    Row(
        bound="rate_events_per_token",
        name="batches",
        callers=partial(batches, 2),
        settings={**LIMITED, "RELAY_RATE_EVENTS_PER_TOKEN": f"{2 * FREE}/h"},
        metric=over("events_token"),
    ),
    Row(
        bound="rate_events_per_address",
        callers=partial(events, 3),
        settings={**LIMITED, "RELAY_RATE_EVENTS_PER_ADDRESS": RATE},
        metric=over("events_address"),
    ),
    Row(
        bound="rate_signups",
        callers=sign_ups,
        settings={**LIMITED, "RELAY_RATE_SIGNUPS": RATE},
        success=201,
        metric=over("signups"),
    ),
    Row(
        bound="rate_tokens",
        callers=partial(calls, "POST", "/api/token"),
        settings={**LIMITED, "RELAY_RATE_TOKENS": RATE},
        success=201,
        metric=over("tokens"),
    ),
    Row(
        bound="rate_reads",
        callers=partial(calls, "GET", "/api/events"),
        settings={**LIMITED, "RELAY_RATE_READS": RATE},
        metric=over("reads"),
    ),
    Row(
        bound="rate_exports",
        callers=partial(calls, "GET", "/api/export"),
        settings={**LIMITED, "RELAY_RATE_EXPORTS": RATE},
        patches={"relay.downloads.MAX_OF_USER": CALLERS},
        metric=over("exports"),
    ),
    Row(
        bound="rate_mail_codes",
        callers=partial(calls, "POST", "/api/email-code", json={"address": "ada@example.com"}),
        settings={
            **MAIL,
            "RELAY_RATE_MAIL_CODES": RATE,
            "RELAY_RATE_TOKENS": "1000/min",
        },
        success=503,
        metric=over("mail_codes_user"),
    ),
    Row(
        bound="rate_all_mail_codes",
        callers=mailed_codes,
        settings={
            **MAIL,
            **PROXIED,
            "RELAY_RATE_ALL_MAIL_CODES": RATE,
            "RELAY_RATE_SIGNUPS": "1000/min",
        },
        success=503,
        metric=over("mail_codes_all"),
    ),
    Row(
        bound="rate_pages",
        callers=partial(calls, "GET", "/"),
        settings={**LIMITED, "RELAY_RATE_PAGES": RATE},
        metric=over("pages"),
    ),
    Row(
        bound="rate_waits",
        name="task",
        callers=beats,
        settings={**LIMITED, "RELAY_RATE_WAITS": RATE},
        metric=over("waits"),
    ),
    Row(
        bound="rate_waits",
        name="ask",
        callers=unknown_asks,
        success=404,
        settings={**LIMITED, "RELAY_RATE_WAITS": RATE},
        patches={"relay.rate_limiting.WAITS_OF_USER": 1},
        metric=over("waits_user"),
    ),
    Row(
        bound="rate_waits",
        name="invented tasks",
        callers=invented_beats,
        settings={**LIMITED, "RELAY_RATE_WAITS": RATE},
        patches={"relay.rate_limiting.WAITS_OF_USER": 1},
        metric=over("waits_user"),
    ),
    Row(
        bound="rate_handshakes",
        name="address",
        callers=partial(watchers, 3, 1),
        settings={**LIMITED, **PROXIED, "RELAY_RATE_HANDSHAKES": RATE},
        metric=over("handshakes_address"),
    ),
    Row(
        bound="rate_handshakes",
        name="user",
        callers=partial(watchers, 1, CALLERS),
        settings={**LIMITED, **PROXIED, "RELAY_RATE_HANDSHAKES": RATE},
        metric=over("handshakes_user"),
    ),
]

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
