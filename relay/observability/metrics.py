"""The metrics, but for those of the backplane. No label contains a user, a token or an address.

With several workers (PROMETHEUS_MULTIPROC_DIR is set before this is imported) each process writes
its values to a file in that folder, and a scrape aggregates them; a gauge's mode tells how. A mode
that begins with `live` ignores processes that were marked dead.
"""

import platform
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from relay import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]  # multiprocess mode does not support them

Mode = Literal["livesum", "livemin", "livemax", "liveall", "max"]


def gauge(name: str, description: str, mode: Mode, *labels: str) -> Gauge:
    """A gauge that several workers add up, or choose from, by `mode`."""
    return Gauge(name, description, labels, multiprocess_mode=mode)


# an Info would fit, but multiprocess mode does not support it
build_info = gauge("relay_build_info", "The running version.", "livemax", "version", "python")


def set_build_info() -> None:
    """Set `build_info`. Call it again after a process switches to another metrics file."""
    build_info.labels(__version__, platform.python_version()).set(1)


set_build_info()

# -- requests
http_requests = Counter(
    "relay_http_requests", "Requests answered, and streams opened.", ["route", "method", "status"]
)
http_seconds = Histogram(
    "relay_http_request_duration_seconds",
    "Time from a request's headers to the start of its response.",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
problems = Counter("relay_problems", "Errors answered, by problem code.", ["code"])
auth_failures = Counter("relay_auth_failures", "Refused credentials, by reason.", ["reason"])
rate_limited = Counter(
    "relay_rate_limited", "Requests, events and handshakes refused by a rate limit.", ["limit"]
)
rate_limit_keys_evicted = Counter(
    "relay_rate_limit_keys_evicted", "Rate limit keys dropped early to make room."
)
limits_shared = gauge(
    "relay_limits_shared",
    "1 if limits count over all processes, 0 if in this process alone.",
    "livemin",
)
limits_alone = Counter(
    "relay_limits_alone",
    "Requests whose limits this process counted alone because the Valkey did not answer.",
)

# -- the journal
events_ingested = Counter("relay_events_ingested", "New events stored.", ["event_type"])
events_duplicate = Counter("relay_events_duplicate", "Duplicates of stored events.")
commit_events = Histogram(
    "relay_journal_commit_events",
    "Events in one group commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
commit_seconds = Histogram(
    "relay_journal_commit_duration_seconds",
    "Duration of one group commit.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
commit_failures = Counter("relay_journal_commit_failures", "Group commits that failed.")
journal_full = Counter(
    "relay_journal_full", "Requests refused because too many events were waiting."
)
publish_waits = Counter(
    "relay_publish_waits",
    "Requests that waited for other requests of the same user.",
)
journal_waiting = gauge(
    "relay_journal_waiting_events", "Events waiting to be committed.", "livesum"
)
journal_limit = gauge(
    "relay_journal_limit_events", "Most events that may wait to be committed.", "livesum"
)

# -- tasks
projection_seconds = Histogram(
    "relay_projection_round_duration_seconds",
    "Duration of one round that folds events into stored tasks.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
projection_events = Counter("relay_projection_events", "Events folded into stored tasks.")
projection_pending = gauge(
    "relay_projection_pending_events", "Events kept in memory until they are folded.", "livesum"
)
projection_read_back = Counter(
    "relay_projection_read_back",
    "Events not kept in memory for folding, for lack of space; they are read from the journal.",
)
projection_conflicts = Counter(
    "relay_projection_conflicts",
    "Folds of one user given up because another process had changed the user's tasks.",
)

# -- asks and waiting calls
waiting_calls = gauge("relay_waiting_calls", "Calls that wait for an answer or a stop.", "livesum")
asks = Counter("relay_asks", "Asks opened and ended, by what happened.", ["what"])

# -- notifications
notifications = Counter(
    "relay_notifications",
    "Attempts to send a notification, by kind of channel and by what became of it.",
    ["kind", "outcome"],
)
notification_seconds = Histogram(
    "relay_notification_delay_seconds",
    "Time from a notification's making to its delivery by the first attempt.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
notifications_waiting = gauge(
    "relay_notifications_waiting", "Notifications in the outbox, of all processes.", "livemax"
)
notifications_oldest = gauge(
    "relay_notifications_oldest_seconds",
    "How long the oldest due notification of the outbox has been due.",
    "livemax",
)
notifications_held = gauge(
    "relay_notifications_held",
    "Notifications that are due, and wait for the rate or a place of the host that takes them.",
    "livemax",
)

# -- housekeeping
events_trimmed = Counter("relay_events_trimmed", "Events deleted by retention.")
housekeeping_done = gauge(
    "relay_housekeeping_last_success_timestamp_seconds",
    "When streams were last trimmed and expired rows deleted.",
    "max",
)
housekeeping_holder = gauge(
    "relay_housekeeping_holder",
    "1 while this process does housekeeping, for all processes on the database.",
    "livesum",
)
housekeeping_takeovers = Counter(
    "relay_housekeeping_takeovers", "How often this process took housekeeping over."
)
disk_free = gauge("relay_disk_free_bytes", "Free disk space of the embedded Postgres.", "livemax")
disk_needed = gauge(
    "relay_disk_min_free_bytes", "Free disk space below which no events are accepted.", "livemax"
)

# -- the database
# 1 means trouble, so that a process that has not checked yet reports none
database_away = gauge("relay_database_away", "1 if the last database check failed.", "livemax")
database_in_use = gauge("relay_database_connections_in_use", "Pool connections in use.", "livesum")
database_open = gauge(
    "relay_database_connections_open", "Pool connections that are open.", "livesum"
)
database_limit = gauge(
    "relay_database_connections_limit", "Most connections the pool may open.", "livesum"
)

# -- streams
connected_sockets = gauge("relay_connected_sockets", "Live streams.", "livesum", "transport")
delivery_seconds = Histogram(
    "relay_delivery_latency_seconds",
    "Time from an event's receipt to its write on a live stream; the slowest event of a write.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
inbox_overflows = Counter(
    "relay_inbox_overflows", "Readers whose inbox was full, which then read from the journal."
)
journal_reads = Counter(
    "relay_journal_reads", "Pages read from the journal for streams that were behind."
)
readers_waiting = gauge(
    "relay_journal_waiting_readers", "Readers waiting to read from the journal.", "livesum"
)
task_bytes_waiting = gauge(
    "relay_task_waiting_bytes", "Bytes of messages about tasks that wait for readers.", "livesum"
)
task_streams_displaced = Counter(
    "relay_task_streams_displaced", "Streams of slow readers of tasks ended to make room."
)
resumes = Counter("relay_resumes", "Streams started, by the outcome of their cursor.", ["outcome"])
stream_closes = Counter("relay_stream_closes", "Streams ended, by close code.", ["code"])
streams_refused = Counter(
    "relay_streams_refused", "Streams refused at a limit, by limit.", ["bound"]
)
streams_cut = Counter(
    "relay_streams_cut", "Live streams ended with their credential, by reason.", ["reason"]
)

# -- the server
connections = gauge("relay_connections", "Open connections, streams included.", "livesum")
connections_failed = Counter(
    "relay_connections_failed", "Connections ended by an unexpected exception."
)
connections_refused = Counter(
    "relay_connections_refused", "Connections refused because too many were open."
)
connections_stalled = Counter(
    "relay_connections_stalled", "Connections cut because their reader made no progress."
)
bodies_displaced = Counter(
    "relay_bodies_displaced", "Slow request bodies cancelled to make room for others."
)
answers_displaced = Counter(
    "relay_answers_displaced", "Connections reset because their large answers were read slowly."
)
connections_displaced = Counter(
    "relay_connections_displaced", "Idle connections closed to make room for others."
)

# -- the workers
workers = gauge(
    "relay_workers", "Workers that the supervisor keeps; 0 if a process serves alone.", "livemax"
)
workers_replaced = Counter(
    "relay_workers_replaced", "Workers replaced, by how the old one ended.", ["after"]
)

# -- logs
log_lines_dropped = Counter(
    "relay_log_lines_dropped", "Log lines that were not written, by reason.", ["reason"]
)

# -- the process; with several workers the label `pid` is a number that successors reuse
loop_lag = Histogram(
    "relay_loop_lag_seconds",
    "How late the event loop runs a timer, measured once a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
process_memory = gauge("relay_process_resident_memory_bytes", "Resident memory size.", "liveall")
process_fds = gauge("relay_process_open_fds", "Open file descriptors.", "liveall")
process_max_fds = gauge(
    "relay_process_max_fds", "Most file descriptors the process may open.", "liveall"
)
process_cpu = Counter("relay_process_cpu_seconds", "User and system CPU time spent.")
# of the newest process: `pid` is reused, so a single label would not show each restart
process_started = gauge(
    "relay_process_start_time_seconds", "When the newest process started to serve.", "max"
)

# An alert fires at the first of these. To Prometheus a series that begins at 1 has not increased.
stream_closes.labels("1011")
streams_refused.labels("process")
log_lines_dropped.labels("blocked")
