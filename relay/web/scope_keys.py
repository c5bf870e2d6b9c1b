"""The keys of the ASGI scope under which Relay notes what it knows of a request."""

REQUEST_ID = "relay.request_id"  # the X-Request-ID of the answer, and of each line in the log
STARTED = "relay.started"  # when it came, in seconds of time.perf_counter
QUOTA = "relay.quota"  # the Quota for the answer's RateLimit-* headers, set by a charge
STATUS = "relay.status"  # what is counted and logged, if it is not the status on the wire
WAITED = "relay.waited"  # set for a call that waits on purpose: its time is not a response time
HELD = "relay.held"  # set for a call whose answer is held: its end is noted later, or by another
ROUTE = "relay.route"  # the matched rule, set by the app; never the path itself
REQUEST = "relay.request"  # our request, while Quart handles it
HANDLER = "relay.handler"  # what makes a held answer anew, in place of the route's handler
