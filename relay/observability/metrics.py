"""Every metric, declared once. No label ever holds a user, a token or an address.

With several workers (PROMETHEUS_MULTIPROC_DIR is set before this is imported) each process keeps
its numbers in a file of that folder, and a scrape adds up all of them; each gauge says how. A
gauge whose mode begins with `live` forgets a process once it is marked dead.
"""

import os
import platform
from collections.abc import Callable
from typing import Literal

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from relay import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]  # there are none with several workers

_Mode = Literal["livesum", "livemin", "livemax", "liveall", "max"]


def _gauge(name: str, what: str, mode: _Mode, *labels: str) -> Gauge:
    return Gauge(name, what, labels, multiprocess_mode=mode)


# an Info would be right, but several processes cannot share one
build_info = _gauge("relay_build_info", "The running version.", "livemax", "version", "python")


def say_what_runs() -> None:
    """Set what no event sets; again where a process moves to another file for its numbers."""
    build_info.labels(__version__, platform.python_version()).set(1)


say_what_runs()

# -- requests
http_requests = Counter("relay_http_requests", "Requests answered.", ["route", "method", "status"])
http_seconds = Histogram(
    "relay_http_request_duration_seconds",
    "From a request's headers to the start of its response.",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
problems = Counter("relay_problems", "Refusals, by the code of their problem.", ["code"])
auth_failures = Counter("relay_auth_failures", "Credentials refused.", ["reason"])
rate_limited = Counter("relay_rate_limited", "Calls, events and handshakes refused.", ["limit"])
allowances_evicted = Counter(
    "relay_rate_limit_keys_evicted",
    "Rate limits' memories that were dropped early because there were too many.",
)

# -- the journal
events_ingested = Counter("relay_events_ingested", "New events committed.", ["event_type"])
events_duplicate = Counter("relay_events_duplicate", "Events that were stored before.")
commit_events = Histogram(
    "relay_journal_commit_events",
    "Events in one group commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
commit_seconds = Histogram(
    "relay_journal_commit_duration_seconds",
    "One group commit, from the statement to its answer.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
commit_failures = Counter("relay_journal_commit_failures", "Group commits that failed.")
journal_full = Counter("relay_journal_full", "Requests refused because too much was waiting.")
publish_waits = Counter(
    "relay_publish_waits",
    "Requests that waited because their user had enough under way.",
)
journal_waiting = _gauge(
    "relay_journal_waiting_events", "Events waiting for their commit.", "livesum"
)
journal_limit = _gauge("relay_journal_limit_events", "Events that may wait.", "livesum")

# -- keeping house
events_trimmed = Counter("relay_events_trimmed", "Events that went by retention.")
housekeeping_done = _gauge(
    "relay_housekeeping_last_success_timestamp_seconds", "When trimming last went through.", "max"
)
disk_free = _gauge("relay_disk_free_bytes", "Free space under our own Postgres.", "livemax")
disk_needed = _gauge("relay_disk_min_free_bytes", "Below this no event is taken.", "livemax")

# -- the database
# 1 is the trouble, so that a process that has not looked yet does not tell of one
database_away = _gauge("relay_database_away", "Whether the last look found none.", "livemax")
database_in_use = _gauge("relay_database_connections_in_use", "Pool connections busy.", "livesum")
database_open = _gauge("relay_database_connections_open", "Pool connections open.", "livesum")
database_limit = _gauge(
    "relay_database_connections_limit", "Pool connections there may be.", "livesum"
)

# -- streams
connected_sockets = _gauge("relay_connected_sockets", "Live streams.", "livesum", "transport")
delivery_seconds = Histogram(
    "relay_delivery_latency_seconds",
    "From an event's receipt to its write on a live stream; the slowest event of a write counts.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
inbox_overflows = Counter(
    "relay_inbox_overflows", "Readers slower than their stream, sent back to the journal."
)
journal_reads = Counter("relay_journal_reads", "Pages read for streams that were behind.")
readers_waiting = _gauge(
    "relay_journal_waiting_readers", "Readers waiting for their turn at the journal.", "livesum"
)
resumes = Counter("relay_resumes", "Streams started, by what their cursor was.", ["outcome"])
stream_closes = Counter("relay_stream_closes", "Streams ended, by close code.", ["code"])
streams_refused = Counter("relay_streams_refused", "Streams refused at a bound.", ["bound"])

# -- the server
connections = _gauge("relay_connections", "Open connections, streams included.", "livesum")
connections_failed = Counter(
    "relay_connections_failed", "Connections whose protocol failed on our side."
)
connections_refused = Counter(
    "relay_connections_refused", "Connections refused because too many were open."
)
connections_stalled = Counter(
    "relay_connections_stalled", "Connections cut because their reader made no progress."
)
log_lines_dropped = Counter("relay_log_lines_dropped", "Log lines not written.", ["reason"])
bodies_displaced = Counter(
    "relay_bodies_displaced", "Slow request bodies given up because others were too many."
)
connections_displaced = Counter(
    "relay_connections_displaced", "Silent connections closed because others came to a full house."
)

# -- the backplane: what processes on one database tell each other
backplane_up = Gauge(
    "relay_backplane_up",
    "Whether this process hears the others at once.",
    multiprocess_mode="livemin",
)
backplane_processes = Gauge(
    "relay_backplane_processes",
    "Processes alive on this database, this one included.",
    multiprocess_mode="livemax",
)
backplane_sent = Counter("relay_backplane_sent", "Notifications sent.")
backplane_send_failures = Counter(
    "relay_backplane_send_failures", "Notifications that could not be sent."
)
backplane_overflows = Counter(
    "relay_backplane_overflows", "Notifications too long for a list: look at everything."
)
backplane_received = Counter("relay_backplane_received", "Notifications of other processes.")
backplane_reconnects = Counter("relay_backplane_reconnects", "Times LISTEN was lost and made anew.")
backplane_lag = Histogram(
    "relay_backplane_lag_seconds",
    "From an event's receipt by another process to its hand-over here; the oldest of one counts.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
streams_cut = Counter(
    "relay_streams_cut", "Live streams ended because their credential did.", ["reason"]
)

# -- the workers
workers_replaced = Counter(
    "relay_workers_replaced",
    "Workers begun in the place of one that went, by how that one did: died, silent, left.",
    ["after"],
)

# -- the process; with several workers each stands under a number that its successors use again
loop_lag = Histogram(
    "relay_loop_lag_seconds",
    "How late the event loop came back to a timer, looked at once a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
process_memory = _gauge("relay_process_resident_memory_bytes", "Resident memory.", "liveall")
process_fds = _gauge("relay_process_open_fds", "Open file descriptors.", "liveall")
process_max_fds = _gauge("relay_process_max_fds", "File descriptors there may be.", "liveall")
process_cpu = Counter("relay_process_cpu_seconds", "User and system time spent.")
# of the newest: a successor takes another's place, so no place by itself tells of each restart
process_started = _gauge(
    "relay_process_start_time_seconds", "When the newest process began to serve.", "max"
)


def exposition(accept: str) -> tuple[Callable[[], bytes], str]:
    """What a scrape gets, as a call that makes it, and its media type.

    With several workers the whole service's numbers, whichever of them was asked.
    """
    encode, media_type = choose_encoder(accept)

    def make() -> bytes:
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return encode(registry)

    return make, media_type
