"""Every rate at which callers are refused, and what becomes of 64 of them."""

from functools import partial

from relay.channels.mail import ACCEPTED
from tests.support.bounds.callers import CALLERS, FREE, Row
from tests.support.bounds.kinds import watchers
from tests.support.bounds.rates import (
    batches,
    beats,
    calls,
    events,
    invented_beats,
    mailed_codes,
    sign_ups,
    unknown_asks,
)

RATE = f"{FREE}/h"  # a place comes back after 12 minutes
LIMITED = {"RELAY_RATE_LIMITS": "on"}
PROXIED = {"RELAY_TRUSTED_PROXIES": "1"}
SMTP = {"RELAY_SMTP_URL": "smtp://127.0.0.1:9", "RELAY_SMTP_FROM": "a@b.c"}
MAIL = {**LIMITED, **SMTP}
MAILED = {"relay.channels.mail._deliver": lambda *mail: ACCEPTED}  # what is not mailed is free


def over(limit: str) -> str:
    return f'relay_rate_limited_total{{limit="{limit}"}}'


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
        patches=MAILED,
        success=202,
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
        patches=MAILED,
        success=202,
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
