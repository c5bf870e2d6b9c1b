"""The metrics of the backplane between processes on one database."""

from prometheus_client import Counter, Histogram

from relay.observability.metrics import gauge

up = gauge(
    "relay_backplane_up",
    "1 if this process receives notifications of other processes.",
    "livemin",
)
processes = gauge(
    "relay_backplane_processes", "Live processes on this database, with this one.", "livemax"
)
nodes = gauge("relay_backplane_nodes", "Nodes of the Valkey that have slots.", "livemax")
nodes_up = gauge(
    "relay_backplane_nodes_up", "Nodes of the Valkey that this process is connected to.", "livemin"
)
channels = gauge("relay_backplane_channels", "Channels of users that are listened to.", "livesum")
sent = Counter("relay_backplane_sent", "Notifications sent.")
send_failures = Counter("relay_backplane_send_failures", "Notifications that could not be sent.")
overflows = Counter(
    "relay_backplane_overflows",
    "Notifications too large to list their users, sent as a request to check everything.",
)
received = Counter("relay_backplane_received", "Notifications received from other processes.")
read_events = Counter(
    "relay_backplane_read_events",
    "Events of other processes read from the database; the others came in notifications.",
)
holes = Counter(
    "relay_backplane_holes", "Events received in notifications while some before were missing."
)
look_found = Counter(
    "relay_backplane_look_found",
    "Streams with events that only a look at the database found: no notification named them.",
)
reconnects = Counter(
    "relay_backplane_reconnects", "Reconnects of the LISTEN connection, or to a node of the Valkey."
)
lag = Histogram(
    "relay_backplane_lag_seconds",
    "Time from an event's receipt by another process to its delivery here; the oldest of a batch.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
