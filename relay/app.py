"""The application: blueprints on a Quart app, one problem shape for everything that goes wrong."""

from typing import Any, cast

import structlog
from hypercorn.typing import ASGIFramework
from quart import Response, request, websocket
from quart.ctx import has_request_context
from quart_rate_limiter import RateLimitExceeded
from quart_schema import Info, QuartSchema
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest
from werkzeug.exceptions import HTTPException

from relay import __version__
from relay.auth.origins import Listed
from relay.blueprints.console import console, put_for_people
from relay.blueprints.operations import operations
from relay.blueprints.reference import reference
from relay.blueprints.sessions import sessions
from relay.blueprints.stream import stream
from relay.blueprints.tokens import tokens
from relay.blueprints.users import users
from relay.blueprints.webhook import webhook
from relay.config.settings import Settings
from relay.errors import (
    BadRequest,
    Internal,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    UnsupportedMediaType,
)
from relay.ingest.envelope import MAX_BATCH_BODY, MAX_BODY, most_bytes
from relay.server.refusals import Also
from relay.services import Services
from relay.web.asgi_connection import Exchange, SocketExchange
from relay.web.auth import check_origin, cookie_name
from relay.web.body_budget import Intake
from relay.web.context import EXTENSION, services
from relay.web.cookies import delete_cookie
from relay.web.cors import let_listed_pages_read, readable_refusal
from relay.web.direct import Shortcut
from relay.web.direct_streams import Streams
from relay.web.middleware.access_log import ROUTE, Observed, request_id
from relay.web.middleware.proxy_headers import Forwarded
from relay.web.middleware.security_headers import DATA, HSTS, SecurityHeaders
from relay.web.openapi.openapi import TITLE, RouteProvider
from relay.web.problem_responses import refusal
from relay.web.rate_limits import keep_limits, refused

log = structlog.get_logger("relay.app")


class RelayRequest(TrioRequest):
    """A request whose body is bounded by what it says it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        most = most_bytes(args[4].get("Content-Type", ""))
        super().__init__(*args, **{**kwargs, "max_content_length": most})
        self.max_content_length = most


class Relay(QuartTrio):
    asgi_http_class = Exchange
    asgi_websocket_class = SocketExchange
    shortcut: Shortcut
    intake: Intake
    request_class = RelayRequest
    streams: Streams

    def __init__(self) -> None:
        super().__init__("relay", static_folder=None, template_folder=None)

    @property
    def services(self) -> Services:
        """The services. The process that serves this app opens them and sets them here."""
        return cast("Services", self.extensions[EXTENSION])

    @services.setter
    def services(self, opened: Services) -> None:
        self.extensions[EXTENSION] = opened


def create_app(settings: Settings) -> Relay:
    """The app without its services: whoever serves it opens those and sets `app.services`."""
    app = Relay()
    app.config["BODY_TIMEOUT"] = settings.body_timeout
    app.intake = Intake()
    app.url_map.merge_slashes = False  # a redirect would name a host of the client's choosing
    for blueprint in (users, sessions, tokens, webhook, stream, operations, console, reference):
        app.register_blueprint(blueprint)
    QuartSchema(
        app,
        info=Info(title=TITLE, version=__version__),
        openapi_path=None,  # and no page of its own: those load scripts from elsewhere
        openapi_provider_class=RouteProvider,
        conversion_preference="msgspec",
    )
    app.before_request(_name_route)
    app.before_request(_refuse_foreign)
    app.before_request(_refuse_other_spellings)
    app.before_websocket(_name_route)
    app.before_websocket(_refuse_other_spellings)
    listed = Listed(settings.cors)
    let_listed_pages_read(app, listed)
    # the shortcuts serve no page: one that is listed is answered elsewhere, and caches know that
    also = [(b"vary", b"Origin")] if listed.rules else []
    app.shortcut = Shortcut(lambda: app.services, also)
    app.streams = Streams(lambda: app.services, also)
    keep_limits(app, settings)
    app.register_error_handler(Problem, _render)
    app.register_error_handler(HTTPException, _render_http)
    app.register_error_handler(RateLimitExceeded, _render_limited)
    app.register_error_handler(Exception, _render_unforeseen)
    return app


def outermost(app: Relay, trusted_proxies: int, base_url: str) -> ASGIFramework:
    """The app as a server should see it: sealed, observed, and with its peer's true address."""
    ring: ASGIFramework = SecurityHeaders(app, secure=base_url.startswith("https:"))
    ring = Observed(ring)
    if trusted_proxies:
        ring = Forwarded(ring, trusted_proxies)
    return ring


def refusals_also(settings: Settings, base_url: str) -> Also:
    """What the app's answers carry, for those that the server gives in its place."""
    listed = Listed(settings.cors)
    always = DATA + HSTS if base_url.startswith("https:") else DATA
    return lambda headers: [*always, *readable_refusal(listed, headers)]


def _incoming() -> Any:
    return request if has_request_context() else websocket


async def _name_route() -> None:
    incoming = _incoming()
    if incoming.url_rule is not None:
        incoming.scope[ROUTE] = incoming.url_rule.rule


async def _refuse_foreign() -> None:
    """Before anything else: a foreign page may not act here, whatever it carries."""
    check_origin(request, services().origins)


async def _refuse_other_spellings() -> None:
    """One address each: who guards a path in front must not be passed by `//path` or `%2Fpath`.

    The framework takes both for the path itself.
    """
    raw = _incoming().scope.get("raw_path", b"")
    if raw.startswith(b"//") or b"%2f" in raw.lower():
        raise NotFound()


async def _render(problem: Problem) -> Response:
    incoming = _incoming()
    answer = await refusal(problem, request_id(incoming.scope))
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name.decode().title()] = value.decode()
    if isinstance(problem, InvalidToken) and _came_by_cookie(incoming):
        delete_cookie(response)
    return response


def _came_by_cookie(incoming: Any) -> bool:
    """Whether the refused credential was the cookie: a page must not be stuck with it."""
    if "Authorization" in incoming.headers:
        return False
    if "ticket" in incoming.args and incoming.path in ("/api/sse", "/api/rt"):
        return False
    return cookie_name(services().secure) in incoming.cookies


_HTTP_PROBLEMS: dict[int, type[Problem]] = {
    400: BadRequest,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}


async def _render_http(error: HTTPException) -> Response:
    """What the framework refuses by itself, in our shape."""
    kind = _HTTP_PROBLEMS.get(error.code or 500)
    if kind is None:
        if error.code is not None and error.code < 400:
            return error.get_response()  # type: ignore[return-value]  # a redirect
        kind = BadRequest if error.code is not None and error.code < 500 else Internal
    problem = kind()
    if kind is PayloadTooLarge:
        problem = PayloadTooLarge(
            f"The body is too large: {MAX_BODY} bytes are allowed, {MAX_BATCH_BODY} for NDJSON."
        )
    response = await _render(problem)
    if kind is NotFound and has_request_context():
        put_for_people(response)
    allow = getattr(error, "valid_methods", None)
    if allow:
        response.headers["Allow"] = ", ".join(sorted(allow))
    return response


async def _render_limited(error: RateLimitExceeded) -> Response:
    return await _render(refused(error))


async def _render_unforeseen(error: Exception) -> Response:
    """Our fault: the log has the details, the answer has the id that finds them."""
    log.error("request_failed", exc_info=error)
    return await _render(Internal())
