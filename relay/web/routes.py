"""One handler for each route, and the two ways to it.

`@needs` makes a handler's Quart view: the declaration that the URL map, quart-schema and
quart-rate-limiter read. Most requests take Quart's way to it. A route marked `@direct` is in the
table that the connection looks at first, so that its requests pass Quart by; the handler, the
hooks and the answer are the same.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, Self

from quart import Quart, Response

from relay.errors import Problem
from relay.web.answers import Answer
from relay.web.auth import credential_for
from relay.web.body import ClientGone
from relay.web.hooks import run_hooks
from relay.web.needs import Need
from relay.web.problem_responses import fault_answer, problem_answer
from relay.web.rate_limits import Limit
from relay.web.request import HTTPRequest, Request, WebSocketRequest, current_request

Handler = Callable[[Any], Awaitable[Answer | None]]
"""Takes an HTTPRequest or a WebSocketRequest. None: it has answered by itself."""

WEBSOCKET = "WEBSOCKET"  # stands for the method in the table


class Route(NamedTuple):
    """A route as its blueprint declares it. `rule` is its address in the URL map."""

    rule: str
    need: Need
    handler: Handler
    reads_body: bool

    @classmethod
    def of(cls, rule: str, view: Any) -> Self:
        """The route of a view that `@needs` has made."""
        return cls(rule, view.need, view.handler, bool(view.described.body))


DirectRoutes = dict[tuple[str, str], Route]
"""Routes by method and path."""


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
    """Have the connection look for this route before it asks Quart.

    The route's handler charges its own limits: quart-rate-limiter counts Quart's requests only.
    """
    view.direct = True
    return view


def direct_routes(app: Quart) -> DirectRoutes:
    """The table of the routes marked `@direct`, from the URL map.

    Raises TypeError for one with a limit that would not be kept.
    """
    found: DirectRoutes = {}
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if getattr(view, "direct", False):
            if isinstance(getattr(view, "limit", None), Limit):
                raise TypeError(f"{rule.rule} is direct: its handler must charge the limit")
            route = Route.of(rule.rule, view)
            methods = [WEBSOCKET] if rule.websocket else (rule.methods or set()) - {"OPTIONS"}
            found |= {(method, rule.rule): route for method in methods}
    return found


async def answer_direct(request: HTTPRequest | WebSocketRequest, route: Route) -> Answer | None:
    """The answer of a route in the table, as Quart's way would give it."""
    try:
        run_hooks(request, route.rule)
    except Problem as problem:
        return await problem_answer(problem, request)
    return await answer(request, route)


async def answer(request: Request, route: Route) -> Answer | None:
    """What the handler answers, or the problem that refuses the request.

    A body that the handler does not read is passed over first: a request whose body is malformed,
    or whose client leaves before its end, has no effect. A body that is too large or too slow is
    left unread, and the handler answers.
    """
    try:
        if not route.need.by_handler:
            await credential_for(request, route.need)
        if isinstance(request, HTTPRequest) and not route.reads_body:
            await request.pass_over_body()
        return await route.handler(request)
    except Problem as problem:
        return await problem_answer(problem, request)
    except ClientGone:
        return None
    except Exception as error:
        if request.started:
            raise  # the server cuts the connection: the answer cannot be taken back
        return await fault_answer(error, request)


class _Handed(Response):
    """A handler's answer on its way through Quart, which adds no header of its own."""

    default_mimetype = None  # type: ignore[assignment]  # the handler gives the type


def quart_response(answer: Answer | None) -> Response:
    """An answer as Quart has it; an empty one where the handler has answered by itself."""
    if answer is None:
        return _Handed(b"", 204)
    response = _Handed(answer.body, answer.status)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name.decode(), value.decode("latin-1"))
    return response
