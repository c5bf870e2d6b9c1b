"""What bounds something and refuses no caller for the number of callers, and why."""

ONE = "of one request, connection or message: a caller meets it alone, however many come"
SHARE = "a share of the work at a time: more of it waits, and nobody is refused"
OLDEST = "past it the oldest are dropped or their kind is counted as one, and nobody is refused"
TIME = "a time"
STORED = "of what is stored: housekeeping trims it, and nobody is refused"
NO_BOUND = "no bound"
SERVER = "64 callers, without Relay: tests/integration/server/test_connection_limits.py"

SETTINGS = {
    **dict.fromkeys(
        [
            *("bind", "base_url", "data_dir", "workers", "cors", "trusted_proxies"),
            *("signing_keys", "open_signup", "metrics_token", "rate_limits"),
            *("database_url", "database_direct_url", "auto_migrate", "log_level", "sentry_dsn"),
            "backplane_url",
            "relay.realtime.valkey.hash_slots.SLOTS",
        ],
        NO_BOUND,
    ),
    **dict.fromkeys(
        [
            *("database_timeout", "heartbeat", "idle_timeout", "send_timeout", "stream_max_age"),
            *("body_timeout", "drain_timeout", "drain_delay", "worker_silence"),
            *("housekeeping_every", "stream_blind"),
        ],
        TIME,
    ),
    **dict.fromkeys(
        [
            *("retention_days", "retention_events", "retention_bytes"),
            *("idle_user_days", "audit_days", "tasks_per_user"),
            "relay.db.asks.MAX_ENDED_ASKS",
        ],
        STORED,
    ),
    "database_connections": SHARE,
    "min_free_disk": "a state of the disk and not of callers: tests/faults/test_disk_full.py",
}

CONSTANTS = {
    "relay.serving.REQUEST_CONNECTIONS": SERVER,
    **dict.fromkeys(
        [
            "relay.asks.questions.MAX_DETAILS_BYTES",
            "relay.asks.questions.MAX_DETAILS_NESTING",
            "relay.asks.questions.MAX_OPTION",
            "relay.asks.questions.MAX_OPTIONS",
            "relay.asks.questions.MAX_QUESTION",
            "relay.auth.tokens.MAX_TOKEN_CHARACTERS",
            "relay.auth.webhook_signatures.MAX_SIGNATURES",
            "relay.blueprints.task_log.MAX_RUN",
            "relay.blueprints.tasks.MAX_PAGE_TASKS",
            "relay.blueprints.task_groups.MAX_PAGE_GROUPS",
            "relay.tasks.reported.MAX_EXACT_INTEGER",
            "relay.tasks.reported.MAX_INTEGER_DIGITS",
            "relay.realtime.task_feeds.MAX_WAITING_BYTES",
            "relay.tasks.reported.MAX_METRICS",
            "relay.tasks.reported.MAX_METRICS_READ",
            "relay.tasks.reported.MAX_METRIC_NAME",
            "relay.tasks.segments.MAX_METRIC_NAMES",
            "relay.tasks.reported.MAX_TEXT",
            "relay.tasks.reported.MAX_URL",
            "relay.web.named_tasks.MAX_NAMED_TASKS",
            "relay.web.task_filters.MAX_TITLE",
            "relay.blueprints.stream.MAX_PAGE_BYTES",
            "relay.blueprints.stream.MAX_PAGE_EVENTS",
            "relay.errors.MAX_NAME_CHARACTERS",
            "relay.identifiers.MAX_IDENTIFIER",
            "relay.events.MAX_SEQ",
            "relay.ingest.envelope.MAX_BATCH_BODY_BYTES",
            "relay.ingest.envelope.MAX_BODY_BYTES",
            "relay.ingest.envelope.MAX_NESTING",
            "relay.ingest.envelope.MAX_PAYLOAD_BYTES",
            "relay.ingest.ndjson.MAX_BATCH_EVENTS",
            "relay.observability.exceptions.MAX_FRAMES",
            "relay.observability.logs.configure.MAX_TEXT_CHARACTERS",
            "relay.realtime.announcements.MAX_TEXT_BYTES",
            "relay.realtime.announcements.MAX_PAYLOAD_BYTES",
            "relay.realtime.resume.MAX_LAST",
            "relay.realtime.valkey.greeting.MAX_REPLY_BYTES",
            "relay.realtime.valkey.messages.MAX_TEXT_BYTES",
            "relay.realtime.valkey.limits.MAX_REASON",
            "relay.realtime.valkey.nodes.MAX_REASON",
            "relay.realtime.valkey.shared_places.MAX_PROCESSES",
            "relay.realtime.valkey.topology.MAX_NODES",
            "relay.realtime.websocket.MAX_CLIENT_MESSAGES_PER_SECOND",
            "relay.realtime.websocket.MAX_CLIENT_MESSAGE_BYTES",
            "relay.server.framing.MAX_LINE_BYTES",
            "relay.server.framing.MAX_OVERHEAD_BYTES",
            "relay.server.handle.MAX_CONTROL_PAYLOAD_BYTES",
            "relay.server.heads.MAX_LENGTH_DIGITS",
        ],
        ONE,
    ),
    **dict.fromkeys(
        [
            "relay.projection.pending_events.MAX_BYTES",
            "relay.projection.pending_events.MAX_EVENTS",
            "relay.projection.projector.MAX_READ_BYTES",
            "relay.db.asks.MAX_SETTLED",
            "relay.projection.projector.MAX_READ_EVENTS",
            "relay.projection.projector.MAX_ROUNDS_PER_SECOND",
            "relay.projection.projector.MAX_USERS",
            "relay.db.append_queue.MAX_COMMIT_BYTES",
            "relay.db.append_queue.MAX_COMMIT_EVENTS",
            "relay.db.batched_lookup.MAX_CONCURRENT_QUERIES",
            "relay.db.batched_lookup.MAX_KEYS",
            "relay.db.journal.MAX_CONCURRENT_COMMITS",
            "relay.db.pages.MAX_FAIR_SHARES",
            "relay.db.task_history.MAX_PARSED_BYTES",
            "relay.db.task_rows.MAX_READ_BYTES",
            "relay.realtime.encoding.MAX_MESSAGE_BYTES",
            "relay.realtime.announcements.MAX_BYTES",
            "relay.realtime.announcements.MAX_USERS",
            "relay.realtime.notification.MAX_ITEMS",
            "relay.realtime.reported_counts.MAX_CHANGES",
            "relay.realtime.remote_reader.MAX_USERS",
            "relay.realtime.valkey.event_leases.MAX_ACCOUNTS",
            "relay.realtime.valkey.shared_places.MAX_RENEWALS",
            "relay.server.reader.MAX_REQUESTS_PER_CHECKPOINT",
            "relay.server.wire.MAX_RECV_BYTES",
        ],
        SHARE,
    ),
    **dict.fromkeys(
        [
            "relay.auth.credentials.MAX_CACHED_CREDENTIALS",
            "relay.observability.logs.rate_limit.MAX_KINDS",
            "relay.observability.logs.rate_limit.MAX_LINES_PER_SECOND",
            "relay.observability.logs.writer.MAX_WAITING_LINES",
            "relay.observability.sentry.MAX_WAITING_REPORTS",
            "relay.rate_limiting.MAX_KEYS",
            "relay.realtime.look_findings.MAX_FOUND",
            "relay.realtime.sealing.MAX_SENDERS",
            "relay.realtime.valkey.backplane.MAX_WAITING_BYTES",
            "relay.realtime.valkey.stream_counts.MAX_READ",
        ],
        OLDEST,
    ),
    **dict.fromkeys(
        [
            "relay.background.readiness.MAX_PAUSE_SECONDS",
            "relay.web.waiting.MAX_WAIT_SECONDS",
            "relay.db.clock.MAX_READ_SECONDS",
            "relay.tasks.reported.MAX_LEASE_SECONDS",
            "relay.web.download.MAX_DOWNLOAD_SECONDS",
            "relay.auth.revocations.MAX_LATE_POLLS",
            "relay.auth.tokens.MAX_LIFETIME_SECONDS",
            "relay.db.pinned_connection.MAX_IDLE_SECONDS",
            "relay.db.source.MAX_RESTART_PAUSE_SECONDS",
            "relay.realtime.sse.MAX_HEARTBEAT_SECONDS",
            "relay.realtime.stream_connection.MAX_AGE_JITTER",
            "relay.realtime.valkey.connection.MAX_STALL_SECONDS",
            "relay.realtime.valkey.scripts.MAX_STALL_SECONDS",
            "relay.realtime.stream_connection.MAX_RETRY_SECONDS",
            "relay.web.refused_streams.MAX_SPREAD",
            "relay.workers.supervisor.MAX_RETRY_SECONDS",
        ],
        TIME,
    ),
}

# of ConnectionLimits
LIMITS = {
    **dict.fromkeys(["max_connections", "max_refusals"], SERVER),
    **dict.fromkeys(["max_discarded", "max_frames", "max_target", "max_headers"], ONE),
    "frame_rate": ONE,
    **dict.fromkeys(
        ["send_timeout", "close_timeout", "first_request_timeout", "refusal_timeout"], TIME
    ),
}
