"""One post as its parts take it, and what serves it, without a connection."""

import socket
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config

from bench.instructions.database import EPOCH
from bench.instructions.operations import JSON, named_event, whole_post
from bench.instructions.stage import Stage
from relay.ingest.ingest import Accepted
from relay.server.client_socket import ClientSocket
from relay.server.common_headers import CommonHeaders
from relay.server.connections import Connections
from relay.server.context import ServerContext
from relay.server.handle import WireHandle
from relay.server.heads import HEAD_END, parse_head
from relay.server.limits import ConnectionLimits
from relay.server.observer import Observer
from relay.server.reader import Reader
from relay.server.refusals import Refusals
from relay.server.scopes import Scopes
from relay.server.wire import Wire
from relay.web.answer_budget import AnswerBudget
from relay.web.answers import json_answer
from relay.web.body_budget import BodyBudget
from relay.web.request import HTTPRequest


class Scene:
    """A post, and what serves it."""

    def __init__(self, stage: Stage, nursery: trio.Nursery) -> None:
        self.stage = stage
        self.user_id, endpoint = stage.new_user()
        self.whole = whole_post(endpoint, JSON, named_event())
        end = self.whole.index(HEAD_END) + len(HEAD_END)
        self.raw_head, self.body = self.whole[:end], self.whole[end:]
        self.head = parse_head(self.raw_head)
        self.server = _context(nursery)
        ours, self.client = socket.socketpair()
        served = ClientSocket(ours)
        self.wire = Wire(served, self.server.limits.send_timeout, self.server.connections.spawn)
        self.reader = Reader(served, self.wire)
        addresses = (("127.0.0.1", 50_000), ("127.0.0.1", stage.port))
        self.scopes = Scopes(*addresses, {}, root_path="", secure=False)
        self.handle = WireHandle(self.wire, "chunked", has_whole_body=True)
        self.answer = json_answer(Accepted("build:00000001", 1, f"{EPOCH}.1", False, 0))

    def new_request(self) -> HTTPRequest:
        """The request that the application makes of the scope."""
        scope = self.scopes.http(self.head, self.handle)
        services = self.stage.services
        return HTTPRequest(scope, no_receive, no_send, services, BodyBudget(), AnswerBudget())

    def drain(self) -> None:
        """Read what was written to the client."""
        with suppress(BlockingIOError):
            while self.client.recv(2**20, socket.MSG_DONTWAIT):
                pass

    def close(self) -> None:
        """Close both ends of the connection."""
        self.wire.close()
        self.client.close()


def _context(nursery: trio.Nursery) -> ServerContext:
    config, limits, observer = Config(), ConnectionLimits(), Observer()
    return ServerContext(
        app=answer_at_once,
        config=config,
        limits=limits,
        observer=observer,
        refusals=Refusals(observer),
        common_headers=CommonHeaders(config),
        connections=Connections(limits, observer, nursery, keep_alive_timeout=15),
        lifespan_state={},
        stopping=trio.Event(),
    )


async def no_receive() -> Any:
    raise NotImplementedError("the parts read no body")


async def no_send(_message: Any) -> None:
    pass


async def answer_at_once(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
