"""Connect each route to its handler, through Quart or directly.

`@needs` makes the Quart view of a handler, which the URL map, quart-schema and quart-rate-limiter
read. Quart routes most requests to that view. Routes marked `@direct` are also in a table that the
ASGI connection consults first, to save the time that Quart takes. Hooks, handler and answer are
the same on both paths.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple, Self

from quart import Quart, Response

from relay.errors import Problem
from relay.web.answers import Answer
from relay.web.auth import check_after_body, credential_for
from relay.web.body import ClientGone
from relay.web.hooks import run_hooks
from relay.web.needs import Need
from relay.web.problem_responses import fault_answer, problem_answer
from relay.web.rate_limits import Limit
from relay.web.request import HTTPRequest, Request, WebSocketRequest, current_request
from relay.web.scope_keys import HANDLER

Handler = Callable[[Any], Awaitable[Answer | None]]
"""Takes an HTTPRequest or a WebSocketRequest. Returns None if it has sent its answer itself."""

WEBSOCKET = "WEBSOCKET"  # the table's method of WebSocket routes

_PARAMETER = re.compile(r"<(\w+)>")


class Route(NamedTuple):
    """A declared route. `rule` is its rule in the URL map."""

    rule: str
    need: Need
    handler: Handler
    reads_body: bool

    @classmethod
    def of(cls, rule: str, view: Any) -> Self:
        """The route of a view made by `@needs`."""
        return cls(rule, view.need, view.handler, bool(view.described.body))


class DirectRoutes:
    """Routes by method and rule. The last segment of a rule may be a parameter."""

    def __init__(self, routes: Mapping[tuple[str, str], Route]) -> None:
        """Raises TypeError for a rule with another parameter."""
        self.routes = routes
        self._exact: dict[tuple[str, str], Route] = {}
        self._by_parent: dict[tuple[str, str], tuple[Route, str]] = {}
        for (method, rule), route in routes.items():
            parent, _, last = rule.rpartition("/")
            if (found := _PARAMETER.fullmatch(last)) is not None:
                self._by_parent[method, parent] = (route, found[1])
            elif "<" in rule:
                raise TypeError(f"{rule} is direct: only its last segment may be a parameter")
            else:
                self._exact[method, rule] = route

    def find(self, method: str, request: Request) -> Route | None:
        """The route of a request, whose path argument is set; None for one that Quart routes."""
        path = request.scope["path"]
        route = self._exact.get((method, path))
        if route is not None:
            return route
        parent, _, last = path.rpartition("/")
        found = self._by_parent.get((method, parent)) if last else None
        if found is None:
            return None
        route, name = found
        request.path_args = {name: last}
        return route


def needs(need: Need) -> Callable[[Handler], Any]:
    """Declare the credential that a handler needs, and make its Quart view."""

    def declare(handler: Handler) -> Any:
        @wraps(handler)
        async def view(**path_args: str) -> Response:
            request = current_request()
            request.path_args = path_args
            return quart_response(await answer(request, Route.of("", view)))

        view.need = need  # type: ignore[attr-defined]
        view.handler = handler  # type: ignore[attr-defined]
        return view

    return declare


def direct(view: Any) -> Any:
    """Serve this route without Quart.

    Its handler must charge its own limit: quart-rate-limiter sees only requests that Quart routes.
    """
    view.direct = True
    return view


def direct_routes(app: Quart) -> DirectRoutes:
    """The table of the routes marked `@direct`, from the URL map.

    Raises TypeError for one with a limit that would not be enforced, or a rule it cannot find.
    """
    found: dict[tuple[str, str], Route] = {}
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if getattr(view, "direct", False):
            if isinstance(getattr(view, "limit", None), Limit):
                raise TypeError(f"{rule.rule} is direct: its handler must charge the limit")
            route = Route.of(rule.rule, view)
            methods = [WEBSOCKET] if rule.websocket else (rule.methods or set()) - {"OPTIONS"}
            found |= {(method, rule.rule): route for method in methods}
    return DirectRoutes(found)


def answer_direct(
    request: HTTPRequest | WebSocketRequest, route: Route
) -> Awaitable[Answer | None]:
    """Answer a request of a direct route: hooks, then the handler."""
    try:
        run_hooks(request, route.rule)
    except Problem as problem:
        return problem_answer(problem, request)
    return answer(request, route)


async def answer(request: Request, route: Route) -> Answer | None:
    """Check the credential and run the handler. Problems and failures become answers.

    A request that is run again for a held answer has its handler in the scope (`HANDLER`).

    A body that the handler does not read is read and dropped before: a request with a malformed or
    incomplete body must have no effect. A body that is too large or too slow stays unread, and the
    handler runs.
    """
    try:
        if not route.need.by_handler:
            await credential_for(request, route.need)
        if isinstance(request, HTTPRequest) and not route.reads_body:
            await request.discard_body()
            await check_after_body(request)
        handler: Handler = request.scope.get(HANDLER, route.handler)
        return await handler(request)
    except Problem as problem:
        return await problem_answer(problem, request)
    except ClientGone:
        return None
    except Exception as error:
        if request.started:
            raise  # the answer has begun, so the server can only cut the connection
        return await fault_answer(error, request)


class _HandlerResponse(Response):
    """A handler's answer as Quart's response, without Quart's default headers."""

    default_mimetype = None  # type: ignore[assignment]  # the handler sets it


def quart_response(answer: Answer | None) -> Response:
    """Convert an answer to Quart's response; an empty one if the handler has sent its own."""
    if answer is None:
        return _HandlerResponse(b"", 204)
    response = _HandlerResponse(answer.body, answer.status)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name.decode(), value.decode("latin-1"))
    return response
