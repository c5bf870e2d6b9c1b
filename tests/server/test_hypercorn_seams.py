"""What the guard relies on in Hypercorn, h11 and wsproto. When a version moves, this tells."""

import inspect
from importlib.metadata import version
from pathlib import Path

import h11
import pytest
import wsproto.connection
import wsproto.extensions
from hypercorn import app_wrappers, utils
from hypercorn.protocol import h11 as h11_protocol
from hypercorn.protocol import http_stream, ws_stream
from hypercorn.trio import lifespan, task_group, worker_context

PINS = Path(__file__).parents[2] / "constraints.txt"

CONNECTION = "app config context task_group ssl client server send stream_id"

SIGNATURES = {
    app_wrappers.ASGIWrapper.__call__: "scope receive send sync_spawn call_soon",
    task_group.TaskGroup.spawn_app: "app config scope send",
    task_group.TaskGroup.spawn: "func args",
    worker_context.WorkerContext.__init__: "max_requests",
    lifespan.Lifespan.__init__: "app config state",
    lifespan.Lifespan.handle_lifespan: "task_status",
    lifespan.Lifespan.wait_for_startup: "",
    lifespan.Lifespan.wait_for_shutdown: "",
    h11_protocol.H11Protocol.__init__: (
        "app config context task_group connection_state ssl client server send"
    ),
    h11_protocol.H11Protocol.handle: "event",
    h11_protocol.H11Protocol.stream_send: "event",
    h11_protocol.H11Protocol._check_protocol: "event",
    h11_protocol.H11Protocol._create_stream: "request",
    h11_protocol.H11Protocol._send_error_response: "status_code",
    h11_protocol.H11Protocol._send_h11_event: "event",
    h11_protocol.H11WSConnection.__init__: "h11_connection",
    http_stream.HTTPStream.__init__: CONNECTION,
    http_stream.HTTPStream.handle: "event",
    http_stream.HTTPStream.app_send: "message",
    http_stream.HTTPStream._send_error_response: "status_code",
    ws_stream.WSStream.__init__: CONNECTION,
    ws_stream.WSStream.handle: "event",
    ws_stream.WSStream.app_send: "message",
    ws_stream.WSStream._accept: "message",
    ws_stream.WSStream._handle_events: "",
    ws_stream.WSStream._send_error_response: "status_code",
    ws_stream.WSStream._send_wsproto_event: "event",
    utils.suppress_body: "method status_code",
    utils.repr_socket_addr: "family address",
    utils.parse_socket_addr: "family address",
    wsproto.connection.Connection.receive_data: "data",
    wsproto.connection.Connection.events: "",
    wsproto.extensions.PerMessageDeflate.enabled: "",
}

# What is overridden would be dead code if the callers went by another name.
CALLS = {
    h11_protocol.H11Protocol._handle_events: (
        "self._check_protocol(",
        "self._create_stream(",
        "self._send_error_response(",
        "self.can_read.wait()",
    ),
    h11_protocol.H11Protocol._maybe_recycle: ("self.context.terminated.is_set()", "Closed()"),
    http_stream.HTTPStream.handle: ("self.task_group.spawn_app(", "self.app_put("),
    http_stream.HTTPStream.app_send: ("self._send_error_response(500)", "self._send_closed("),
    ws_stream.WSStream.handle: ("self.task_group.spawn_app(", "self.handshake.is_valid()"),
    ws_stream.WSStream.app_send: ("self._accept(", "self._send_error_response(403)"),
    ws_stream.WSStream._accept: ("self.handshake.accept(",),
    ws_stream.Handshake.accept: ("if self.extensions is not None", "self.accepted = True"),
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_are_as_expected(function: object) -> None:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    assert " ".join(names) == SIGNATURES[function]


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__qualname__)
def test_seams_are_still_called(function: object) -> None:
    source = inspect.getsource(function)
    for call in CALLS[function]:
        assert call in source


def test_states_are_as_expected() -> None:
    for state in ("HANDSHAKE", "CONNECTED", "RESPONSE", "CLOSED", "HTTPCLOSED"):
        assert state in ws_stream.ASGIWebsocketState.__members__
    assert "CLOSED" in http_stream.ASGIHTTPState.__members__
    for state in ("REMOTE_CLOSING", "CLOSED"):
        assert state in wsproto.connection.ConnectionState.__members__


def test_h11_tells_a_status_for_what_it_cannot_read() -> None:
    assert h11.RemoteProtocolError("x").error_status_hint == 400
    assert h11.RemoteProtocolError("x", error_status_hint=431).error_status_hint == 431


@pytest.mark.parametrize("name", ["Hypercorn", "h11", "wsproto", "trio"])
def test_the_versions_are_the_pinned_ones(name: str) -> None:
    assert f"{name}=={version(name)}" in PINS.read_text().splitlines()
