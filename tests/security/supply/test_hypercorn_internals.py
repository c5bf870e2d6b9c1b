"""The internals of Hypercorn and wsproto that the server uses. A new version fails here first."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import wsproto.connection
import wsproto.events
from hypercorn import app_wrappers, config, utils
from hypercorn.trio import lifespan

PINS = Path(__file__).parents[3] / "constraints.txt"

SIGNATURES: dict[Callable[..., Any], str] = {
    app_wrappers.ASGIWrapper.__init__: "app",
    app_wrappers.ASGIWrapper.__call__: "scope receive send sync_spawn call_soon",
    config.Config.create_sockets: "",
    config.Config.create_ssl_context: "",
    config.Config.response_headers: "protocol",
    lifespan.Lifespan.__init__: "app config state",
    lifespan.Lifespan.handle_lifespan: "task_status",
    lifespan.Lifespan.wait_for_startup: "",
    lifespan.Lifespan.wait_for_shutdown: "",
    utils.repr_socket_addr: "family address",
    utils.parse_socket_addr: "family address",
    wsproto.connection.Connection.__init__: "connection_type extensions trailing_data",
    wsproto.connection.Connection.receive_data: "data",
    wsproto.connection.Connection.events: "",
    wsproto.connection.Connection.send: "event",
    wsproto.events.Ping.response: "",
    wsproto.events.CloseConnection.response: "",
}

READ_FROM_CONFIG = (
    *("backlog", "bind", "certfile", "graceful_timeout", "h11_max_incomplete_size"),
    *("insecure_bind", "keep_alive_max_requests", "keep_alive_timeout", "max_app_queue_size"),
    *("quic_bind", "root_path", "server_names", "ssl_enabled", "ssl_handshake_timeout"),
    *("websocket_max_message_size", "workers"),
)


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_are_as_expected(function: Callable[..., Any]) -> None:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    assert " ".join(names) == SIGNATURES[function]


@pytest.mark.parametrize("name", READ_FROM_CONFIG)
def test_the_configuration_has_what_is_read_from_it(name: str) -> None:
    assert hasattr(config.Config(), name)


def test_a_lifespan_shows_how_far_it_has_come() -> None:
    source = inspect.getsource(lifespan.Lifespan)
    for attribute in ("self.supported = False", "self.shutdown.set()"):
        assert attribute in source


def test_states_are_as_expected() -> None:
    for state in ("OPEN", "REMOTE_CLOSING", "CLOSED"):
        assert state in wsproto.connection.ConnectionState.__members__


@pytest.mark.parametrize("name", ["Hypercorn", "wsproto", "trio", "httptools"])
def test_the_versions_are_the_pinned_ones(name: str) -> None:
    assert f"{name}=={version(name)}" in PINS.read_text().splitlines()
