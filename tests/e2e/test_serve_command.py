"""`relay serve`: real processes, real signals, and printed commands that work.

What keeps a Relay from starting at all is in tests/faults/test_startup_failures.py.
"""

import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from relay.config.settings import Settings
from tests.support.commands import RELAY, complaints, environment, relay, running
from tests.support.patience import PATIENCE, eventually
from tests.support.ports import HeldPort
from tests.support.relay_server import User, open_stream, visiting
from tests.support.serve_command import SERVE, printed_curl

ROOT = Path(__file__).parents[2]
GRANTED = 10  # seconds that common hosts grant before they kill

pytestmark = pytest.mark.usefixtures("cold_starts")


async def test_serve_prints_its_address_and_a_working_curl(
    database_url: str, tmp_path: Path
) -> None:
    async with running(SERVE, tmp_path, environment(database_url)) as server:
        url = await server.url()
        request = await printed_curl(server)
        assert str(request.url).startswith(url)
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            answer = await http.send(request)
        assert answer.status_code == 201
        assert answer.json()["session_token"]
        assert "the Postgres at DATABASE_URL" in server.output


async def test_serve_runs_its_own_database_and_prints_its_folder(tmp_path: Path) -> None:
    async with running((*SERVE, "--data-dir", "mine"), tmp_path) as server:
        url = await server.url()
        assert "embedded Postgres in mine" in server.output
        await server.answers(f"{url}/readyz")
        keys = tmp_path / "mine" / "signing.keys"
        assert keys.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(tmp_path)) == {"mine", "stderr.log"}


async def test_a_unix_socket_is_served_and_the_curl_for_it_works(
    database_url: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "relay.sock")
    command = (*RELAY, "serve", "--bind", f"unix:{path}")
    async with running(command, tmp_path, environment(database_url)) as server:
        request = await printed_curl(server)
        assert f"--unix-socket {path} " in server.output
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as http:
            assert (await http.send(request)).status_code == 201
        server.process.terminate()
        assert await server.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_readers_of_both_transports_and_exits_with_0(
    database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    assert Settings().drain_timeout < GRANTED
    # and where all readers go, not even that is waited for
    env = environment(database_url, RELAY_DRAIN_TIMEOUT="600")
    async with running(SERVE, tmp_path, env) as server:
        async with visiting(await server.url()) as relay, AsyncExitStack() as streams:
            user = await relay.user()
            websocket = await streams.enter_async_context(user.websocket())
            sse = await streams.enter_async_context(user.sse())
            for stream in (websocket, sse):
                await stream.hello()
            await user.publish(3)
            server.process.send_signal(number)
            for stream in (websocket, sse):
                assert [event["seq"] for event in await stream.events(3)] == [1, 2, 3]
                close = await stream.control("close")
                assert (close["code"], close["reason"]) == (1012, "restart")
            assert await websocket.close_code() == 1012
            with pytest.raises(EOFError):
                await sse.next()
        assert await server.ended() == 0
    assert complaints((tmp_path / "stderr.log").read_text()) == []


async def test_a_signal_during_the_start_ends_it_at_once_and_leaves_a_usable_folder(
    tmp_path: Path,
) -> None:
    lock = tmp_path / ".relay" / "lock"
    async with running(SERVE, tmp_path) as server:
        await eventually(lock.exists)
        server.process.terminate()
        await server.ended()
        assert "listens" not in server.output
    async with running(SERVE, tmp_path) as server:
        await server.answers(f"{await server.url()}/readyz")
    assert "Traceback" not in (tmp_path / "stderr.log").read_text()


async def test_too_many_workers_are_refused_by_the_options_name(
    tmp_path: Path,
) -> None:
    refused = await relay(tmp_path, "serve", "--workers", "65")
    (line,) = complaints(refused.stderr)
    assert (refused.returncode, line.startswith("Error: --workers ")) == (1, True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "address", ["postgresql://127.0.0.1:port/relay", "postgresql:///?sslmode=x"]
)
async def test_a_database_address_that_no_driver_takes_is_refused_in_one_line(
    tmp_path: Path, address: str
) -> None:
    refused = await relay(tmp_path, "serve", "--bind", "127.0.0.1:0", env=environment(address))
    (line,) = complaints(refused.stderr)
    assert (refused.returncode, line.startswith("Error: DATABASE_URL ")) == (1, True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("this is no toml", "Expected '='"),
        (f'certfile = "{__file__}"\nkeyfile = "nowhere.pem"', "'nowhere.pem'"),
        ('certfile = "only.pem"', "certfile and keyfile need each other"),
    ],
)
async def test_a_configuration_that_cannot_be_read_is_refused_by_its_name(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "hypercorn.toml").write_text(text)
    refused = await relay(tmp_path, "serve", "--bind", "127.0.0.1:0")
    (line,) = complaints(refused.stderr)
    assert refused.returncode == 1
    assert line.startswith(f"Error: {tmp_path / 'hypercorn.toml'}: ")
    assert why in line


async def test_the_demos_curl_shows_live_events(database_url: str, tmp_path: Path) -> None:
    async with running((*SERVE, "--demo"), tmp_path, environment(database_url)) as server:
        url = await server.url()
        request = await printed_curl(server)
        token = request.headers["Authorization"].partition(" ")[2]
        path, _, query = request.url.raw_path.decode().partition("?")
        assert (str(request.url).startswith(url), path) == (True, "/api/sse")
        async with visiting(url) as relay:
            async with open_stream(relay, "sse", token, f"?{query}") as stream:
                await stream.hello()
                events = await stream.events(3)
            assert [event["seq"] for event in events] == [1, 2, 3]
            assert events[0]["event_type"] == "task_started"
            # what is shown to everybody beside the terminal cannot be used to publish
            assert (await User(relay, "", token).post(hook=token)).status_code == 403
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == 0
    assert complaints((tmp_path / "stderr.log").read_text()) == []


async def test_a_demo_that_is_refused_leaves_the_server_alone(
    database_url: str, tmp_path: Path
) -> None:
    env = environment(database_url, RELAY_OPEN_SIGNUP="off")
    async with running((*SERVE, "--demo"), tmp_path, env) as server:
        url = await server.url()
        log = tmp_path / "stderr.log"
        await eventually(lambda: "demo_ended" in log.read_text())
        await server.answers(f"{url}/readyz")
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == 0
    assert f"{url}/api/user answered 403" in log.read_text()
    assert complaints(log.read_text()) == []


async def test_an_unmodified_hypercorn_serves_both_transports(
    database_url: str, tmp_path: Path
) -> None:
    port = HeldPort()
    address = f"127.0.0.1:{port.number}"
    env = environment(database_url, RELAY_BIND=address, LOG_LEVEL="warning")
    hypercorn = (sys.executable, "-m", "hypercorn", "-c", ROOT / "hypercorn.toml")
    command = (*hypercorn, "-b", address, "relay.asgi:app")
    async with running(command, tmp_path, env) as server:
        url = f"http://{address}"
        await server.answers(f"{url}/readyz")
        async with visiting(url) as relay:
            user = await relay.user()
            for transport in ("websocket", "sse"):
                async with open_stream(relay, transport, user.session) as stream:
                    await stream.hello()
                    receipt = await user.posted(payload={"through": transport})
                    (event,) = await stream.events(1)
                    assert (event["seq"], event["payload"]) == (
                        receipt["seq"],
                        {"through": transport},
                    )
        server.process.terminate()
        assert await server.ended() == 0
