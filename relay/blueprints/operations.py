"""Routes for operators: liveness, readiness, metrics."""

import hmac
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
import trio
from quart import Blueprint

from relay.db.migrate import MigrationError, applied_migrations, pending
from relay.db.pool import StatementFailed
from relay.errors import DatabaseAway, Forbidden, InvalidToken, Unauthorized, Unavailable
from relay.observability import metrics
from relay.web.answers import Answer, json_answer, text_answer
from relay.web.auth import bearer
from relay.web.needs import NOTHING
from relay.web.openapi.describe import Text, described
from relay.web.rate_limits import PAGES, limited, unlimited
from relay.web.request import HTTPRequest
from relay.web.routes import needs

operations = Blueprint("operations", __name__)

_scrapes = trio.CapacityLimiter(1)  # two at once would only take the processor from each other

READY_WITHIN = 1.0  # seconds the database may take: a probe gives up soon after


class Health(msgspec.Struct):
    """All is well."""

    ok: bool = True


class NotReady(Unavailable):
    code, title = "not_ready", "Not ready"


class Failing(Unavailable):
    code, title = "failing", "Failing"
    hint = "Background work has died; this process says goodbye and ends."


@operations.get("/healthz")
@described("operations", answers={200: Health()}, refuses=(Failing,))
@unlimited("a probe that is refused takes the process out of service")
@needs(NOTHING)
async def healthz(request: HTTPRequest) -> Answer:
    """Whether the process lives, its background work included. When that has died it soon ends."""
    if (work := request.services.health.dead) is not None:
        raise Failing(f"Background work has died ({work}); this process says goodbye and ends.")
    return json_answer(Health())


@operations.get("/readyz")
@described("operations", answers={200: Health()}, refuses=(NotReady,))
@unlimited("a probe that is refused takes the process out of service")
@needs(NOTHING)
async def readyz(request: HTTPRequest) -> Answer:
    """Whether to send work here: all workers serve, none is stopping, the database answers."""
    services = request.services
    if services.health.leaving.is_set() or services.hub.draining:
        raise NotReady("This process is stopping.")
    if not services.health.all_serve():
        raise NotReady("Other workers do not serve yet.")
    try:
        with trio.move_on_after(READY_WITHIN):
            applied = await applied_migrations(services.database)
            todo = pending(services.migrations, applied, newer=True)
            if todo:
                raise NotReady(f"Migrations are pending, from {todo[0].file} on: `relay migrate`.")
            return json_answer(Health())
    except (MigrationError, StatementFailed):
        raise NotReady("The database was migrated to something else than this version.") from None
    except DatabaseAway:
        pass
    raise NotReady("The database does not answer.")


@operations.get("/metrics")
@described(
    "operations",
    needs=("metrics", ""),
    answers={200: Text("Every metric.", ("text/plain", "application/openmetrics-text"))},
    refuses=(Unauthorized, InvalidToken, Forbidden),
)
@limited(PAGES)
@needs(NOTHING)
async def scrape(request: HTTPRequest) -> Answer:
    """Prometheus' text, or OpenMetrics if asked for."""
    _check_scraper(request)
    request.services.vitals.look()
    make, content_type = metrics.exposition(request.headers.get("Accept", ""))
    # some ten milliseconds of work, in which streams want to go on
    text = await trio.to_thread.run_sync(make, limiter=_scrapes)
    return text_answer(text, content_type)


def _check_scraper(request: HTTPRequest) -> None:
    """Admit the metrics token where one is set, else only a peer on loopback and no proxy's client.

    Raises Unauthorized, InvalidToken, Forbidden.
    """
    expected = request.services.settings.metrics_token
    if expected is not None:
        if "Authorization" not in request.headers:
            raise Unauthorized()
        given = bearer(request.headers["Authorization"])
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise InvalidToken("This is not the metrics token.", reason="metrics")
        return
    forwarded = any(_FORWARDED.fullmatch(name) for name in request.headers)
    # a name that strangers point at loopback (DNS rebinding) makes any page of theirs our origin
    named = _local(f"http://{request.headers.get('Host', '')}") and _local(
        request.services.base_url
    )
    if forwarded or not named or not _on_loopback(request.address):
        raise Forbidden("Set RELAY_METRICS_TOKEN to read metrics from elsewhere.")


# what proxies add, each in its own fashion
_FORWARDED = re.compile(r"Forwarded|Via|X-Real-IP|X-Forwarded-.*", re.IGNORECASE)


def _local(base_url: str) -> bool:
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:  # brackets around no address
        return False
    return host == "localhost" or _on_loopback(host)


def _on_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
