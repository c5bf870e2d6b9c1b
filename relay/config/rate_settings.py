"""The settings of rate limits; `settings.py` has the others."""

from dataclasses import dataclass

from relay.config.parsers import Rate, boolean, rate
from relay.config.parsers import setting as _setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """How often something may be asked for: counted per process, or over all with a Valkey.

    Notifications, calls of receivers and all mailed codes are counted in the database, over all
    processes.
    """

    rate_limits: bool = _setting(
        "RELAY_RATE_LIMITS", boolean, True, "on or off",
        "one client cannot use up a shared service; off: benchmarks, trusted networks", shown="on",
    )  # fmt: skip
    rate_events_per_token: Rate = _setting(
        "RELAY_RATE_EVENTS_PER_TOKEN", rate, Rate(50, 1, 2_000), "events",
        "a talkative build with bursts; each line of a batch counts as an event",
        shown="50/s burst 2000",
    )  # fmt: skip
    rate_events_per_address: Rate = _setting(
        "RELAY_RATE_EVENTS_PER_ADDRESS", rate, Rate(200, 1, 8_000), "events",
        "several producers behind one address (IPv6: one /64)", shown="200/s burst 8000",
    )  # fmt: skip
    rate_signups: Rate = _setting(
        "RELAY_RATE_SIGNUPS", rate, Rate(10, 60, 10), "calls an address",
        "people create a user once; a program could fill the database", shown="10/min",
    )  # fmt: skip
    rate_tokens: Rate = _setting(
        "RELAY_RATE_TOKENS", rate, Rate(60, 60, 60), "calls a user",
        "tokens, tickets and revocations, each; enough tickets for a page that reconnects often",
        shown="60/min",
    )  # fmt: skip
    rate_handshakes: Rate = _setting(
        "RELAY_RATE_HANDSHAKES", rate, Rate(120, 60, 120), "streams, a user and an address",
        "many tabs after a restart, but not a client that reconnects in a tight loop",
        shown="120/min",
    )  # fmt: skip
    rate_reads: Rate = _setting(
        "RELAY_RATE_READS", rate, Rate(600, 60, 600), "calls a user",
        "paging through a whole history, a thousand events a call", shown="600/min",
    )  # fmt: skip
    rate_waits: Rate = _setting(
        "RELAY_RATE_WAITS", rate, Rate(120, 60, 120), "beats of a task, looks at an ask",
        "each may wait for 25 seconds, so a call every half second is plenty", shown="120/min",
    )  # fmt: skip
    rate_exports: Rate = _setting(
        "RELAY_RATE_EXPORTS", rate, Rate(10, 3_600, 10), "calls a user",
        "an export reads all that is stored of a user; a person needs one now and then",
        shown="10/h",
    )  # fmt: skip
    rate_channel: Rate = _setting(
        "RELAY_RATE_CHANNEL", rate, Rate(60, 60, 60), "notifications of a channel",
        "over it they are sent later; more than a person reads, and than receivers admit",
        shown="60/min",
    )  # fmt: skip
    rate_notifications: Rate = _setting(
        "RELAY_RATE_NOTIFICATIONS", rate, Rate(240, 60, 240), "notifications of a user",
        "the same for all channels of a user together", shown="240/min",
    )  # fmt: skip
    rate_receiver: Rate = _setting(
        "RELAY_RATE_RECEIVER", rate, Rate(20, 1, 100), "calls of a receiving host",
        "for the channels of all users there; over it notifications are sent later. Discord takes"
        " 50/s from one address, and push services take more", shown="20/s burst 100",
    )  # fmt: skip
    rate_mail_codes: Rate = _setting(
        "RELAY_RATE_MAIL_CODES", rate, Rate(5, 86_400, 5), "mails to an address, and of a user",
        "mails with a code, which prove that an address is the user's; not a way to mail strangers",
        shown="5/d",
    )  # fmt: skip
    rate_all_mail_codes: Rate = _setting(
        "RELAY_RATE_ALL_MAIL_CODES", rate, Rate(100, 3_600, 100), "mails with a code",
        "of all users together: however many users are created, the mail server sends no more",
        shown="100/h",
    )  # fmt: skip
    rate_pages: Rate = _setting(
        "RELAY_RATE_PAGES", rate, Rate(1_200, 60, 1_200), "calls an address",
        "the live page, the reference and /metrics, for an office behind one address",
        shown="1200/min",
    )  # fmt: skip
