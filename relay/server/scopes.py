"""Build the ASGI scopes of requests, like Hypercorn's."""

from typing import Any
from urllib.parse import unquote

from .handle import HANDLE_EXTENSION, WireHandle
from .heads import Head
from .screening import origin_form

Address = tuple[str, int] | None
Scope = dict[str, Any]


class Scopes:
    """Builds the scopes of one connection's requests, which must have passed `screen`."""

    __slots__ = ("_client", "_root_path", "_secure", "_server", "_state")

    def __init__(
        self,
        client: Address,
        server: Address,
        state: dict[str, Any],
        *,
        root_path: str,
        secure: bool,
    ) -> None:
        self._client = client
        self._server = server
        self._state = state
        self._root_path = root_path
        self._secure = secure

    def http(self, head: Head, handle: WireHandle) -> Scope:
        """The scope of an HTTP request."""
        scope = self._scope(head)
        scope["type"] = "http"
        scope["asgi"] = {"spec_version": "2.1", "version": "3.0"}
        scope["method"] = head.method.decode()
        scope["scheme"] = "https" if self._secure else "http"
        scope["extensions"] = {HANDLE_EXTENSION: handle}
        return scope

    def websocket(self, head: Head, handle: WireHandle) -> Scope:
        """The scope of a WebSocket's handshake."""
        scope = self._scope(head)
        scope["type"] = "websocket"
        scope["asgi"] = {"spec_version": "2.3", "version": "3.0"}
        scope["scheme"] = "wss" if self._secure else "ws"
        scope["subprotocols"] = subprotocols(head)
        scope["extensions"] = {"websocket.http.response": {}, HANDLE_EXTENSION: handle}
        return scope

    def _scope(self, head: Head) -> Scope:
        target = origin_form(head.method, head.target)
        assert target is not None
        path, _, query = target.partition(b"?")
        return {
            "http_version": head.version.decode(),
            "path": unquote(path.decode()) if b"%" in path else path.decode(),
            "raw_path": path,
            "query_string": query,
            "root_path": self._root_path,
            "headers": head.headers,
            "client": self._client,
            "server": self._server,
            "state": self._state.copy(),
        }


def subprotocols(head: Head) -> list[str]:
    """The subprotocols that the client offers, in its order of preference."""
    offered = head.all_of(b"sec-websocket-protocol").decode().split(",")
    return [name for name in map(str.strip, offered) if name]
