"""WebSockets in tests of the server: open ones, frames by the byte, the code of an end."""

from wsproto.events import CloseConnection

from tests.support.server.stage import Client, Server, Stage, Visit


async def opened(server: Server, stage: Stage) -> tuple[Client, Visit]:
    client = await server.websocket()
    visit = await stage.visit()
    await visit.accept()
    await client.accepted()
    return client, visit


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros so that the payload can be read."""
    assert len(payload) < 126
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


async def close_code(client: Client) -> int:
    """The code of the server's close frame, whatever came before it."""
    while True:
        event = await client.frame()
        if isinstance(event, CloseConnection):
            return int(event.code)
