"""Routes for operators: liveness, readiness, metrics."""

import hmac
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
import trio
from quart import Blueprint

from relay.db.migrate import MigrationError, pending_migrations
from relay.errors import DatabaseAway, Forbidden, InvalidToken, Unauthorized, Unavailable
from relay.observability.exposition import exposition
from relay.web.answers import NO_STORE, Answer, add_vary, json_answer, text_answer
from relay.web.auth import parse_bearer
from relay.web.needs import NOTHING
from relay.web.openapi.describe import Text, described
from relay.web.rate_limits import PAGES, limited, unlimited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

operations = Blueprint("operations", __name__)

_scrape_limiter = trio.CapacityLimiter(1)  # two at once would only slow each other down


class Health(msgspec.Struct):
    """The check passed."""

    ok: bool = True


class NotReady(Unavailable):
    code, title = "not_ready", "Not ready"


_OTHER_SCHEMA = "The database's migrations do not match this version."


class Failing(Unavailable):
    code, title = "failing", "Failing"
    hint = "A background task has failed. This process closes its streams and exits."


@operations.get("/healthz")
@described("operations", answers={200: Health()}, refuses=(Failing,))
@unlimited("a probe that is refused takes the process out of service")
@needs(NOTHING)
async def healthz(request: HTTPRequest) -> Answer:
    """Check that the process and its background tasks run."""
    if (work := request.services.health.failed_task) is not None:
        raise Failing(f"A background task has failed ({work}). This process is exiting.")
    return json_answer(Health())


@operations.get("/readyz")
@described("operations", answers={200: Health()}, refuses=(NotReady,))
@unlimited("a probe that is refused takes the process out of service")
@needs(NOTHING)
async def readyz(request: HTTPRequest) -> Answer:
    """Check that requests may be sent here: all workers serve, none stops, the database answers."""
    services = request.services
    if services.health.leaving.is_set() or services.hub.draining:
        raise NotReady("This process is stopping.")
    if not services.health.all_serve():
        raise NotReady("Other workers are still starting.")
    try:
        applied = await services.schema.applied()
    except DatabaseAway:
        raise NotReady("The database does not answer.") from None
    if applied is None:
        raise NotReady(_OTHER_SCHEMA)
    try:
        unapplied = pending_migrations(services.migrations, applied, newer=True)
    except MigrationError:
        raise NotReady(_OTHER_SCHEMA) from None
    if unapplied:
        raise NotReady(f"Migrations are pending, from {unapplied[0].file} on. Run `relay migrate`.")
    return json_answer(Health())


@operations.get("/metrics")
@described(
    "operations",
    security=("metrics", ""),
    answers={200: Text("All metrics.", ("text/plain", "application/openmetrics-text"))},
    refuses=(Unauthorized, InvalidToken, Forbidden),
)
@limited(PAGES)
@needs(NOTHING)
async def scrape(request: HTTPRequest) -> Answer:
    """Read the metrics, in Prometheus' text format, or OpenMetrics by `Accept`."""
    _check_scraper(request)
    request.services.process_metrics.update()
    make, content_type = exposition(request.headers.get("Accept", ""))
    # in a thread: it takes some ten milliseconds
    text = await trio.to_thread.run_sync(make, limiter=_scrape_limiter)
    answer = text_answer(text, content_type)
    answer.headers.append(NO_STORE)
    add_vary(answer, "Accept")
    return answer


def _check_scraper(request: HTTPRequest) -> None:
    """Admit the metrics token if one is set, else only direct clients on loopback.

    Raises Unauthorized, InvalidToken, Forbidden.
    """
    expected = request.services.settings.metrics_token
    if expected is not None:
        if "Authorization" not in request.headers:
            raise Unauthorized()
        given = parse_bearer(request.headers["Authorization"])
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise InvalidToken("This is not the metrics token.", reason="metrics")
        return
    via_proxy = any(_PROXY_HEADER.fullmatch(name) for name in request.headers)
    # the Host must be local, too, against DNS rebinding: another site's name may mean loopback
    host_is_local = _is_local_url(f"http://{request.headers.get('Host', '')}") and _is_local_url(
        request.services.base_url
    )
    if via_proxy or not host_is_local or not _on_loopback(request.address):
        raise Forbidden("Set RELAY_METRICS_TOKEN to read metrics from other hosts.")


# headers that proxies add
_PROXY_HEADER = re.compile(r"Forwarded|Via|X-Real-IP|X-Forwarded-.*", re.IGNORECASE)


def _is_local_url(base_url: str) -> bool:
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:  # brackets without an IPv6 address
        return False
    return host == "localhost" or _on_loopback(host)


def _on_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
