"""Third-party clients: curl, httpx, aiohttp, websockets, Node and more.

Each posts bodies of every framing and talks over a WebSocket, as its own users would have it.
"""

import json
import sys
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import open_websocket

from tests.support.patience import PATIENCE
from tests.support.programs import program
from tests.support.server.echo import Echo
from tests.support.server.stage import serving

LARGE = 300_000  # bytes: more than a read, and more than a socket takes at once

AIOHTTP = """
import asyncio, sys
import aiohttp

async def main(base):
    async with aiohttp.ClientSession() as session:
        async def pieces():
            for _ in range(3):
                yield b"piece"
        for body, expected in ((b"body", b"body"), (pieces(), b"piece" * 3), (bytes(300_000),) * 2):
            async with session.post(base + "/stream", data=body) as answer:
                assert (answer.status, await answer.read()) == (200, expected)
        patient = aiohttp.ClientWSTimeout(ws_close=float(sys.argv[2]))
        async with session.ws_connect(base + "/ws", timeout=patient) as socket:
            await socket.send_str("h\\u00e9")
            assert await socket.receive_str() == "h\\u00e9"
            await socket.send_bytes(bytes(100_000))
            assert await socket.receive_bytes() == bytes(100_000)
            await socket.close(code=4000)
            assert socket.close_code == 4000
    print("well")

asyncio.run(main(sys.argv[1]))
"""

WEBSOCKETS = """
import sys
from websockets.sync.client import connect

patience = float(sys.argv[2])
timeouts = {"open_timeout": patience, "close_timeout": patience, "ping_interval": None}
url = sys.argv[1].replace("http", "ws", 1) + "/ws"
with connect(url, compression="deflate", **timeouts) as socket:
    socket.send("h\\u00e9")
    assert socket.recv() == "h\\u00e9"
    socket.send([b"in ", b"fragments"])
    assert socket.recv() == b"in fragments"
    assert socket.ping().wait(patience)
    socket.close(4000, "bye")
    assert (socket.close_code, socket.close_reason) == (4000, "bye")
print("well")
"""

NODE = """
const base = process.argv[1];
const check = (holds) => { if (!holds) { throw new Error(new Error().stack); } };

(async () => {
  for (const body of ["body", "x".repeat(300000)]) {
    const answer = await fetch(base + "/stream", { method: "POST", body });
    check(answer.status === 200 && await answer.text() === body);
  }
  const pieces = new ReadableStream({
    start(controller) {
      for (let n = 0; n < 3; n++) { controller.enqueue(new TextEncoder().encode("piece")); }
      controller.close();
    },
  });
  const answer = await fetch(base + "/", { method: "POST", body: pieces, duplex: "half" });
  check(await answer.text() === "piecepiecepiece");
  const socket = new WebSocket(base.replace("http", "ws") + "/ws");
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const next = () => new Promise((resolve) => { socket.onmessage = (said) => resolve(said.data); });
  let said = next();
  socket.send("h\\u00e9");
  check(await said === "h\\u00e9");
  said = next();
  socket.send(new Uint8Array(100000));
  check((await (await said).arrayBuffer()).byteLength === 100000);
  const closed = new Promise((resolve) => { socket.onclose = resolve; });
  socket.close(4000, "bye");
  const event = await closed;
  check(event.code === 4000 && event.wasClean);
  console.log("well");
})();
"""


async def output_of(*command: str) -> str:
    found = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout.decode()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("aiohttp", [sys.executable, "-c", AIOHTTP]),
        ("websockets", [sys.executable, "-c", WEBSOCKETS]),
        ("node", ["node", "--experimental-websocket", "-e", NODE]),
    ],
)
async def test_third_party_clients_are_served(name: str, command: list[str]) -> None:
    if name == "node":
        command = [program("node", "nodejs"), *command[1:]]
    echo = Echo()
    async with serving(echo, errorlog=None) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert await output_of(*command, url, f"{PATIENCE:g}") == "well\n"
    assert echo.heard[-1][-1] == {"type": "websocket.disconnect", "code": 4000}
    assert server.observer.refusals == []


CURL: dict[str, tuple[list[str], str]] = {
    "a counted body": (["--data-binary", "body"], "body"),
    "a chunked body": (["-H", "Transfer-Encoding: chunked", "--data-binary", "body"], "body"),
    "leave asked for": (["-H", "Expect: 100-continue", "--data-binary", "body"], "body"),
    "HTTP/1.0": (["--http1.0", "--data-binary", "body"], "body"),
    "HTTP/2 offered": (["--http2", "--data-binary", "body"], "body"),
    "one after the other": (["--data-binary", "a", "{url}", "{url}"], "aaa"),
}


@pytest.mark.parametrize("name", CURL)
@pytest.mark.parametrize("path", ["/", "/stream"])
async def test_curl_is_served(name: str, path: str) -> None:
    options, expected = CURL[name]
    async with serving(Echo()) as server:
        url = f"http://127.0.0.1:{server.port}{path}"
        asked = [option.replace("{url}", url) for option in options]
        assert await output_of(program("curl"), "-sS", *asked, url) == expected


async def test_httpx_is_served() -> None:
    async def pieces() -> Any:
        for _ in range(3):
            yield b"piece"

    kept = httpx.Limits(keepalive_expiry=None)  # its connection, however slow the machine is
    async with (
        serving(Echo()) as server,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE, limits=kept
        ) as http,
    ):
        for path in ("/", "/stream"):
            assert (await http.post(path, content=b"body")).content == b"body"
            assert (await http.post(path, content=pieces())).content == b"piece" * 3
            assert (await http.post(path, content=bytes(LARGE))).content == bytes(LARGE)
        assert server.observer.opened == 1


async def test_trio_websocket_is_served() -> None:
    async with (
        serving(Echo()) as server,
        open_websocket("127.0.0.1", server.port, "/ws", use_ssl=False) as socket,
    ):
        await socket.send_message("hé")
        assert await socket.get_message() == "hé"
        await socket.ping(b"?")
        await socket.send_message(bytes(LARGE // 10))
        assert await socket.get_message() == bytes(LARGE // 10)


async def test_the_answer_of_a_refusal_can_be_read_by_a_client_that_still_sends() -> None:
    async with serving(Echo()) as server:
        url = f"http://127.0.0.1:{server.port}/"
        output = await output_of(
            program("curl"), "-sS", "-H", "Transfer-Encoding: gzip, chunked",
            "--data-binary", "x" * 100_000, url,
        )  # fmt: skip
    assert json.loads(output)["status"] == 501
