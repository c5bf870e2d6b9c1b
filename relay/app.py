"""Build the application: blueprints on a Quart app, and the middleware around it."""

from typing import Any, cast

from hypercorn.typing import ASGIFramework
from quart import Response
from quart import request as quart_request
from quart import websocket as quart_websocket
from quart.ctx import has_request_context
from quart_rate_limiter import RateLimitExceeded
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as HTTPMethodNotAllowed
from werkzeug.exceptions import NotFound as HTTPNotFound

from relay.auth.origins import OriginList
from relay.blueprints.asks import asks
from relay.blueprints.channels import channels
from relay.blueprints.console import console, not_found_answer
from relay.blueprints.deliveries import deliveries
from relay.blueprints.events import events
from relay.blueprints.install import install
from relay.blueprints.mail_codes import mail_codes
from relay.blueprints.operations import operations
from relay.blueprints.push_key import push_key
from relay.blueprints.reference import reference
from relay.blueprints.sessions import sessions
from relay.blueprints.stream import stream
from relay.blueprints.task_beats import task_beats
from relay.blueprints.task_groups import task_groups
from relay.blueprints.task_log import task_log
from relay.blueprints.task_stop import task_stop
from relay.blueprints.tasks import tasks
from relay.blueprints.tokens import tokens
from relay.blueprints.user_deletion import user_deletion
from relay.blueprints.user_export import user_export
from relay.blueprints.users import users
from relay.blueprints.visible import visible
from relay.blueprints.webhook import webhook
from relay.config.settings import Settings
from relay.errors import BadRequest, Internal, MethodNotAllowed, NotFound, Problem
from relay.server.refusals import ExtraHeaders
from relay.services import Services
from relay.web.answer_budget import AnswerBudget
from relay.web.asgi_connection import HTTPConnection, WebSocketConnection
from relay.web.body_budget import BodyBudget
from relay.web.hooks import run_hooks
from relay.web.middleware.access_log import AccessLog
from relay.web.middleware.cors import CORS, cors_headers
from relay.web.middleware.proxy_headers import ProxyHeaders
from relay.web.middleware.security_headers import SecurityHeaders, security_headers
from relay.web.problem_responses import fault_answer, problem_answer
from relay.web.rate_limiter import enforce_limits, rate_limited
from relay.web.request import HTTPRequest, current_request
from relay.web.routes import DirectRoutes, direct_routes, quart_response

SERVICES_KEY = "relay"  # the services' key in `app.extensions`


class Relay(QuartTrio):
    """The Quart app, with what its connections use: direct routes, the intake, services."""

    asgi_http_class = HTTPConnection
    asgi_websocket_class = WebSocketConnection
    direct_routes: DirectRoutes

    def __init__(self) -> None:
        super().__init__("relay", static_folder=None, template_folder=None)
        self.body_budget = BodyBudget()
        self.answer_budget = AnswerBudget()

    @property
    def services(self) -> Services:
        """The services, which the serving process opens and sets."""
        return cast("Services", self.extensions[SERVICES_KEY])

    @services.setter
    def services(self, opened: Services) -> None:
        self.extensions[SERVICES_KEY] = opened


def create_app(settings: Settings) -> Relay:
    """Build the app. The serving process sets `app.services`."""
    app = Relay()
    app.url_map.merge_slashes = False  # a redirect would contain the client's Host header
    for blueprint in (users, user_export, user_deletion, sessions, tokens, webhook, events, stream):
        app.register_blueprint(blueprint)
    for blueprint in (tasks, task_beats, task_groups, task_log, task_stop, asks):
        app.register_blueprint(blueprint)
    for blueprint in (channels, deliveries, mail_codes, push_key, visible):
        app.register_blueprint(blueprint)
    for blueprint in (operations, console, install, reference):
        app.register_blueprint(blueprint)
    app.direct_routes = direct_routes(app)
    app.before_request(_run_hooks)
    app.before_websocket(_run_hooks)
    enforce_limits(app, settings)
    app.register_error_handler(Problem, _render)
    app.register_error_handler(HTTPException, _render_http)
    app.register_error_handler(RateLimitExceeded, _render_limited)
    app.register_error_handler(Exception, _render_fault)
    return app


def with_middleware(app: Relay, settings: Settings, base_url: str) -> ASGIFramework:
    """Wrap the app in middleware, inside out: security headers, CORS, access log, proxy headers."""
    wrapped: ASGIFramework = SecurityHeaders(app.asgi_app, secure=base_url.startswith("https:"))
    if settings.cors:
        wrapped = CORS(wrapped, OriginList(settings.cors))
    wrapped = AccessLog(wrapped)
    if settings.trusted_proxies:
        wrapped = ProxyHeaders(wrapped, settings.trusted_proxies)
    return wrapped


def refusal_headers(settings: Settings, base_url: str) -> ExtraHeaders:
    """The middleware's response headers, for the server's own refusals."""
    listed = OriginList(settings.cors)
    always = security_headers(page=False, secure=base_url.startswith("https:"))
    return lambda headers: [*always, *cors_headers(listed, headers)]


async def _run_hooks() -> None:
    matched: Any = quart_request if has_request_context() else quart_websocket
    rule = matched.url_rule
    run_hooks(current_request(), None if rule is None else rule.rule)


async def _render(problem: Problem) -> Response:
    return quart_response(await problem_answer(problem, current_request()))


async def _render_limited(error: RateLimitExceeded) -> Response:
    return await _render(rate_limited(error, current_request()))


async def _render_fault(error: Exception) -> Response:
    return quart_response(await fault_answer(error, current_request()))


async def _render_http(error: HTTPException) -> Response:
    """Convert Quart's own errors to problems: unknown paths, wrong methods, malformed requests."""
    request = current_request()
    if isinstance(error, HTTPNotFound) and isinstance(request, HTTPRequest):
        return quart_response(not_found_answer(request, await problem_answer(NotFound(), request)))
    if isinstance(error, HTTPNotFound):
        return await _render(NotFound())
    if isinstance(error, HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return await _render(MethodNotAllowed(headers={"Allow": allowed}))
    ours = error.code is None or error.code >= 500
    return await _render(Internal() if ours else BadRequest())
