"""All settings: name, unit, default, and the reason of the default.

Settings are read once at the start, from the environment only; the object is frozen. An invalid
one prevents the start, with a message that names it.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from relay.config.mail_settings import MailSettings
from relay.config.parsers import (
    SettingError,
    SigningKey,
    base_url,
    bearer_token,
    bind,
    boolean,
    choice,
    contact,
    days,
    duration,
    folder,
    integer,
    optional_duration,
    origins,
    postgres_address,
    read_settings,
    sentry_dsn,
    signing_keys,
    size,
)
from relay.config.parsers import setting as _setting
from relay.config.valkey_address import ValkeyAddress, valkey_address

__all__ = ["SettingError", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MailSettings):
    """The operator's settings. Times are floats in seconds, sizes are in bytes."""

    # -- addresses and processes
    bind: str = _setting(
        "RELAY_BIND", bind, "127.0.0.1:8000", "address",
        "loopback: other machines cannot reach a Relay that is only being tried",
        shown="127.0.0.1:8000",
    )  # fmt: skip
    base_url: str | None = _setting(
        "BASE_URL", base_url, None, "address",
        "the issuer of the tokens and the page's own Origin; changing it invalidates all tokens",
        shown="the bound address",
    )  # fmt: skip
    data_dir: Path = _setting(
        "RELAY_DATA_DIR", folder, Path(".relay"), "folder",
        "embedded database and generated signing keys, in the working folder", shown=".relay",
    )  # fmt: skip
    workers: int = _setting(
        "RELAY_WORKERS", integer(1, 64), 1, "processes",
        "one process serves thousands of streams; several use several cores, under a supervisor",
        shown="1",
    )  # fmt: skip
    cors: tuple[str, ...] = _setting(
        "CORS", origins, (), "origins",
        "other sites' pages that may use Relay, by bearer token or ticket", shown="none",
    )  # fmt: skip
    trusted_proxies: int = _setting(
        "RELAY_TRUSTED_PROXIES", integer(0, 16), 0, "hops",
        "X-Forwarded-For can be forged, except for the entries of this many proxies in front",
        shown="0",
    )  # fmt: skip

    # -- credentials
    signing_keys: tuple[SigningKey, ...] = _setting(
        "RELAY_SIGNING_KEYS", signing_keys, (), "kid:secret, …",
        "the first signs, all verify; generated and stored (0600) only with the embedded database",
        shown="generated", secret=True,
    )  # fmt: skip
    open_signup: bool = _setting(
        "RELAY_OPEN_SIGNUP", boolean, True, "on or off",
        "anyone who can reach Relay may create a user; off: only `relay user create`", shown="on",
    )  # fmt: skip
    metrics_token: str | None = _setting(
        "RELAY_METRICS_TOKEN", bearer_token, None, "bearer token",
        "without it, only clients on loopback may read /metrics", shown="none", secret=True,
    )  # fmt: skip

    # -- the database
    database_url: str | None = _setting(
        "DATABASE_URL", postgres_address, None, "address",
        "without it, Relay runs its own Postgres in its data folder", shown="embedded",
        secret=True,
    )  # fmt: skip
    database_direct_url: str | None = _setting(
        "RELAY_DATABASE_DIRECT_URL", postgres_address, None, "address",
        "if DATABASE_URL is a transaction pooler: migrations and LISTEN need a direct connection",
        shown="DATABASE_URL", secret=True,
    )  # fmt: skip
    backplane_url: ValkeyAddress | None = _setting(
        "RELAY_BACKPLANE_URL", valkey_address, None, "address",
        "a Valkey between processes on many machines, which then count limits together; without it"
        " they notify each other through Postgres", shown="none", secret=True,
    )  # fmt: skip
    auto_migrate: bool = _setting(
        "RELAY_AUTO_MIGRATE", boolean, True, "on or off",
        "a new version starts without a manual step; off: run `relay migrate` first", shown="on",
    )  # fmt: skip
    database_connections: int = _setting(
        "RELAY_DATABASE_CONNECTIONS", integer(4, 200), 12, "connections",
        "shared by one process's commits, readers that catch up, and other requests", shown="12",
    )  # fmt: skip
    database_timeout: float = _setting(
        "RELAY_DATABASE_TIMEOUT", duration(0.1, 60), 5.0, "seconds",
        "a slower database counts as away: requests get 503, and producers try again", shown="5 s",
    )  # fmt: skip
    queue_events: int = _setting(
        "RELAY_QUEUE_EVENTS", integer(1, 1_000_000), 20_000, "events",
        "events waiting for their commit; more are refused with 503 at once", shown="20 000",
    )  # fmt: skip
    queue_bytes: int = _setting(
        "RELAY_QUEUE_BYTES", size(65_536, 2**32), 64 * 2**20, "bytes",
        "memory of the events waiting for their commit; the bodies they came in may take twice as"
        " much", shown="64 MiB",
    )  # fmt: skip

    # -- retention
    retention_days: float = _setting(
        "RELAY_RETENTION_DAYS", days(0.0001, 36_500), 7.0, "days",
        "long enough to look at last week's run", shown="7",
    )  # fmt: skip
    retention_events: int = _setting(
        "RELAY_RETENTION_EVENTS", integer(1, 10**9), 100_000, "events a user",
        "past it a user's oldest events are deleted, and no other user's", shown="100 000",
    )  # fmt: skip
    retention_bytes: int = _setting(
        "RELAY_RETENTION_BYTES", size(1, 2**50), 256 * 2**20, "bytes a user",
        "the same, for large payloads", shown="256 MiB",
    )  # fmt: skip
    tasks_per_user: int = _setting(
        "RELAY_TASKS_PER_USER", integer(1, 1_000_000), 10_000, "tasks",
        "past it those that ended first are forgotten, then those silent longest", shown="10 000",
    )  # fmt: skip
    idle_user_days: float = _setting(
        "RELAY_IDLE_USER_DAYS", days(0.0001, 36_500), 30.0, "days",
        "after that, users without a live credential are deleted", shown="30",
    )  # fmt: skip
    audit_days: float = _setting(
        "RELAY_AUDIT_DAYS", days(0.0001, 36_500), 90.0, "days",
        "a quarter of a year: credentials created and revoked, answers, stops, exports", shown="90",
    )  # fmt: skip
    housekeeping_every: float = _setting(
        "RELAY_HOUSEKEEPING_EVERY", duration(0.1, 60), 30.0, "seconds",
        "deletes old events in small steps, at least once a minute", shown="30 s",
    )  # fmt: skip
    min_free_disk: int = _setting(
        "RELAY_MIN_FREE_DISK", size(0, 2**50), 64 * 2**20, "bytes",
        "a full disk crashes Postgres; below this, events are refused (embedded database only)",
        shown="64 MiB",
    )  # fmt: skip

    # -- streams
    heartbeat: float = _setting(
        "RELAY_HEARTBEAT", duration(0.1, 3600), 25.0, "seconds",
        "common proxies cut silent connections after 30 to 60 s; at most half the idle timeout",
        shown="25 s",
    )  # fmt: skip
    idle_timeout: float = _setting(
        "RELAY_IDLE_TIMEOUT", duration(0.2, 86_400), 60.0, "seconds",
        "two heartbeats may be lost before a client counts as gone", shown="60 s",
    )  # fmt: skip
    send_timeout: float = _setting(
        "RELAY_SEND_TIMEOUT", duration(0.1, 3600), 30.0, "seconds",
        "a reader that takes no bytes for this long is cut", shown="30 s",
    )  # fmt: skip
    stream_max_age: float | None = _setting(
        "RELAY_STREAM_MAX_AGE", optional_duration(1, 30 * 86_400), None, "seconds",
        "for hosts that limit a response's duration: streams end before, and resume", shown="off",
    )  # fmt: skip
    stream_blind: float = _setting(
        "RELAY_STREAM_BLIND", duration(5, 3600), 30.0, "seconds",
        "a process that cannot learn of revocations for this long ends its streams: another one"
        " may reach the database; longer than a fail-over", shown="30 s",
    )  # fmt: skip
    max_connections: int = _setting(
        "RELAY_MAX_CONNECTIONS", integer(1, 1_000_000), 10_000, "streams",
        "about 25 KiB each while idle: 10 000 take about 250 MB", shown="10 000",
    )  # fmt: skip
    max_connections_per_user: int = _setting(
        "RELAY_MAX_CONNECTIONS_PER_USER", integer(1, 1_000_000), 32, "streams",
        "a person's tabs, phones and terminals; one user cannot use up the process", shown="32",
    )  # fmt: skip
    max_connections_per_address: int = _setting(
        "RELAY_MAX_CONNECTIONS_PER_ADDRESS", integer(1, 1_000_000), 256, "streams",
        "an office behind one address, but not a flood", shown="256",
    )  # fmt: skip

    # -- channels
    notify: bool = _setting(
        "RELAY_NOTIFY", boolean, True, "on or off",
        "off: notifications are made and wait, and none is sent: a copy that is only looked at,"
        " such as a restored backup, must not notify people", shown="on",
    )  # fmt: skip
    outbound_private: bool = _setting(
        "RELAY_OUTBOUND_PRIVATE", boolean, False, "on or off",
        "channels may not reach what only Relay's host can; on: any address and port, and http",
        shown="off",
    )  # fmt: skip
    receiver_calls: int = _setting(
        "RELAY_RECEIVER_CALLS", integer(1, 1_000), 16, "calls at a time of a receiving host",
        "a host that is slow or away holds up a quarter of what one process sends, whatever the"
        " number of processes", shown="16",
    )  # fmt: skip
    push_contact: str | None = _setting(
        "RELAY_PUSH_CONTACT", contact, None, "mailto: or https: address",
        "where the push services of browsers find the operator; Apple's refuses one of localhost",
        shown="BASE_URL, on https",
    )  # fmt: skip

    # -- the server
    body_timeout: float = _setting(
        "RELAY_BODY_TIMEOUT", duration(0.1, 600), 10.0, "seconds",
        "1 MiB over a slow line", shown="10 s",
    )  # fmt: skip
    drain_timeout: float = _setting(
        "RELAY_DRAIN_TIMEOUT", duration(0.1, 600), 8.0, "seconds",
        "ending streams and last commits, within the 10 s that common hosts grant", shown="8 s",
    )  # fmt: skip
    drain_delay: float = _setting(
        "RELAY_DRAIN_DELAY", duration(0, 600), 0.0, "seconds",
        "how long /readyz fails before connections are refused, for load balancers that poll it",
        shown="0 s",
    )  # fmt: skip
    worker_silence: float = _setting(
        "RELAY_WORKER_SILENCE", duration(2, 600), 20.0, "seconds",
        "a worker that sends no report is replaced: longer than stalls of an overloaded machine,"
        " shorter than the 30 s after which proxies cut silent connections", shown="20 s",
    )  # fmt: skip
    log_level: str = _setting(
        "LOG_LEVEL", choice("debug", "info", "warning", "error"), "info",
        "debug, info, warning, error", "changes and problems, but not each request", shown="info",
    )  # fmt: skip
    sentry_dsn: str | None = _setting(
        "RELAY_SENTRY_DSN", sentry_dsn, None, "address",
        "errors are reported to no other service by default; needs the extra `sentry`",
        shown="none", secret=True,
    )  # fmt: skip

    @property
    def heartbeat_interval(self) -> float:
        """The heartbeat in seconds; the default is lowered to half the idle timeout."""
        return min(self.heartbeat, self.idle_timeout / 2)

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """Read the environment; `overrides` (by field) takes precedence. Raises SettingError.

        An empty variable counts as unset, because some hosts cannot unset one.
        """
        values = read_settings(dataclasses.fields(cls), environ, overrides)
        settings = cls(**values)
        settings._check()
        if "heartbeat" in values and settings.heartbeat_interval < settings.heartbeat:
            raise SettingError(
                "RELAY_HEARTBEAT must be at most half of RELAY_IDLE_TIMEOUT,"
                f" {settings.heartbeat_interval:g} s: clients need time to answer"
            )
        return settings

    def _check(self) -> None:
        """Check settings that depend on each other."""
        self._check_mail()
        if self.database_direct_url and not self.database_url:
            raise SettingError(
                "DATABASE_URL is missing: RELAY_DATABASE_DIRECT_URL is the same database without"
                " its pooler"
            )
        if self.backplane_url and not self.database_url:
            raise SettingError(
                "DATABASE_URL is missing: RELAY_BACKPLANE_URL connects processes that share a"
                " database"
            )
        if self.database_url and not self.signing_keys:
            raise SettingError(
                "RELAY_SIGNING_KEYS is missing: with DATABASE_URL all processes share their keys."
                " Make one: echo k1:$(openssl rand -base64 48)"
            )
