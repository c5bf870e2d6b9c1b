"""What relay/web/ relies on in Quart, its extensions and Authlib. When a version moves, this fails
first.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import quart
import quart_rate_limiter
import quart_trio.asgi
from authlib.oauth2 import ResourceProtector
from authlib.oauth2.rfc6750 import BearerTokenValidator
from quart.wrappers.request import Body
from quart_rate_limiter.store import RateLimiterStoreABC

PINS = Path(__file__).parents[3] / "constraints.txt"

SIGNATURES: dict[Callable[..., Any], str] = {
    quart_trio.asgi.TrioASGIHTTPConnection.__init__: "app scope",
    quart_trio.asgi.TrioASGIHTTPConnection._create_request_from_scope: "send",
    quart_trio.asgi.TrioASGIWebsocketConnection._create_websocket_from_scope: "send",
    quart.Quart.handle_request: "request",
    quart.Quart.handle_websocket: "websocket",
    Body.set_complete: "",
    ResourceProtector.parse_request_authorization: "request",
    BearerTokenValidator.validate_token: "token scopes request",
    BearerTokenValidator.scope_insufficient: "token_scopes required_scopes",
    RateLimiterStoreABC.get: "key default",
    RateLimiterStoreABC.set: "key tat",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_are_as_expected(function: Callable[..., Any]) -> None:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    assert " ".join(names) == SIGNATURES[function]


def test_a_websocket_of_quart_is_made_with_the_channel_it_receives_from() -> None:
    made = quart_trio.asgi.TrioASGIWebsocketConnection._create_websocket_from_scope
    assert "self.receive_channel.receive" in inspect.getsource(made)


@pytest.mark.parametrize("step", ["_raise_on_rejection", "_update_limits"])
def test_a_rate_limit_waits_for_the_key_alone_and_then_for_the_store(step: str) -> None:
    source = inspect.getsource(getattr(quart_rate_limiter.RateLimiter, step))
    awaited = [line.partition("await ")[2].partition("(")[0] for line in source.splitlines()]
    store = [] if step == "_raise_on_rejection" else ["self.store.set"]
    assert [name for name in awaited if name] == ["self._create_key", "self.store.get", *store]


@pytest.mark.parametrize("name", ["Quart", "quart-trio", "quart-rate-limiter", "Authlib"])
def test_the_versions_are_the_pinned_ones(name: str) -> None:
    assert f"{name}=={version(name)}".lower() in PINS.read_text().lower().splitlines()
