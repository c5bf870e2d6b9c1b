"""Every metric, declared once. No label ever holds a user, a token or an address."""

import platform

from prometheus_client import Counter, Gauge, Histogram, Info

from relay import __version__

build_info = Info("relay_build", "The running version.")
build_info.info({"version": __version__, "python": platform.python_version()})

# -- requests
http_requests = Counter("relay_http_requests", "Requests answered.", ["route", "method", "status"])
http_seconds = Histogram(
    "relay_http_request_duration_seconds",
    "From a request's headers to the start of its response.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
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
events_trimmed = Counter("relay_events_trimmed", "Events that went by retention.")
journal_waiting = Gauge("relay_journal_waiting_events", "Events waiting for their commit.")

# -- streams
connected_sockets = Gauge("relay_connected_sockets", "Live streams.", ["transport"])
delivery_seconds = Histogram(
    "relay_delivery_latency_seconds",
    "From an event's receipt to its write on a live stream; the slowest event of a write counts.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
inbox_overflows = Counter(
    "relay_inbox_overflows", "Readers slower than their stream, sent back to the journal."
)
journal_reads = Counter("relay_journal_reads", "Pages read for streams that were behind.")
resumes = Counter("relay_resumes", "Streams started, by what their cursor was.", ["outcome"])
stream_closes = Counter("relay_stream_closes", "Streams ended, by close code.", ["code"])
streams_refused = Counter("relay_streams_refused", "Streams refused at a bound.", ["bound"])

# -- the server
connections_failed = Counter(
    "relay_connections_failed", "Connections whose protocol failed on our side."
)
connections_refused = Counter(
    "relay_connections_refused", "Connections refused because too many were open."
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
