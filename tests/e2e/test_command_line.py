"""The command line: real processes, real signals, and printed commands that work.

What keeps a Relay from starting at all is in tests/faults/test_startup_failures.py.
"""

import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import click
import httpx
import pytest

from relay.cli.main import main
from relay.config.settings import Settings
from relay.db.pool import connect
from tests.support.commands import RELAY, Command, complaints, environment, relay, running
from tests.support.patience import PATIENCE, eventually
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, User, bearer, open_stream

ROOT = Path(__file__).parents[2]
GRANTED = 10  # seconds that common hosts grant before they kill
SERVE = (*RELAY, "serve", "--bind", "127.0.0.1:0")


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Relay]:
    """A client of a Relay in another process."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        yield Relay(url, http)


def as_request(curl: str) -> httpx.Request:
    """The request that a printed curl command makes; fails on what it does not know."""
    words = iter(shlex.split(curl)[1:])
    method, url, headers = "GET", "", {}
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "--unix-socket":
            next(words)
        elif word != "-N":
            assert word.startswith("http"), curl
            url = word
    return httpx.Request(method, url, headers=headers)


async def printed_curl(command: Command) -> httpx.Request:
    return as_request((await command.says(r"\n +(curl .*)\n"))[1])


# -- serving


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
    "text", ["this is no toml", 'certfile = "nowhere.pem"\nkeyfile = "nowhere.pem"']
)
async def test_a_configuration_that_cannot_be_read_is_refused_by_its_name(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "hypercorn.toml").write_text(text)
    refused = await relay(tmp_path, "serve", "--bind", "127.0.0.1:0")
    (line,) = complaints(refused.stderr)
    assert refused.returncode == 1
    assert line.startswith(f"Error: {tmp_path / 'hypercorn.toml'}: ")


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


# -- the operator's other commands


async def test_with_signup_closed_relay_user_create_makes_a_full_user(
    database_url: str, tmp_path: Path
) -> None:
    port = HeldPort()
    address = f"127.0.0.1:{port.number}"
    env = environment(database_url, RELAY_BIND=address, RELAY_OPEN_SIGNUP="off")
    made = await relay(tmp_path, "user", "create", env=env)
    assert made.returncode == 0, made.stderr
    assert complaints(made.stderr) == [
        f"A user was created. The token is valid only where BASE_URL is http://{address}.",
        "It is not shown again.",
        f"To connect a terminal, give it to: relay login http://{address} --with-token",
    ]
    user_id, session = (line.split()[1] for line in made.stdout.decode().splitlines())
    async with (
        running((*RELAY, "serve"), tmp_path, env) as server,
        visiting(await server.url()) as transport,
    ):
        refused = await transport.http.post("/api/user")
        assert (refused.status_code, refused.json()["code"]) == (403, "signup_closed")
        user = User(transport, user_id, session)
        assert (await user.call("GET", "/api/me")).json()["user_id"] == user_id
        await user.posted(payload="by hand")
        async with user.websocket("?after=oldest") as stream:
            await stream.hello()
            assert (await stream.events(1))[0]["payload"] == "by hand"


async def test_a_session_for_another_base_url_is_refused(database_url: str, tmp_path: Path) -> None:
    env = environment(database_url, BASE_URL="https://relay.example")
    made = await relay(tmp_path, "user", "create", env=env)
    session = made.stdout.decode().split()[3]
    async with (
        running(SERVE, tmp_path, environment(database_url)) as server,
        visiting(await server.url()) as transport,
    ):
        answer = await transport.http.get("/api/me", headers=bearer(session))
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_relay_user_create_works_beside_a_serving_relay(
    tmp_path: Path,
) -> None:
    port = HeldPort()
    env = environment(RELAY_BIND=f"127.0.0.1:{port.number}", RELAY_OPEN_SIGNUP="off")
    async with (
        running((*RELAY, "serve"), tmp_path, env) as server,
        visiting(await server.url()) as transport,
    ):
        made = await relay(tmp_path, "user", "create", env=env)
        assert made.returncode == 0, made.stderr
        user_id, session = (line.split()[1] for line in made.stdout.decode().splitlines())
        user = User(transport, user_id, session)
        assert (await user.posted())["seq"] == 1
        status = await relay(tmp_path, "migrate", "--status", env=env)
        assert (status.returncode, b"pending" in status.stdout) == (0, False)
        assert (await user.posted())["seq"] == 2  # and the serving one never noticed


async def epochs(url: str) -> dict[UUID, str]:
    async with connect(url, timeout=PATIENCE) as connection:
        rows = await connection.fetch("SELECT user_id, epoch FROM users")
    return {row["user_id"]: row["epoch"] for row in rows}


async def test_epoch_renews_every_streams_epoch_and_nothing_without_the_flag(
    database_url: str, tmp_path: Path
) -> None:
    env = environment(database_url)
    for _ in range(2):
        assert (await relay(tmp_path, "user", "create", env=env)).returncode == 0
    before = await epochs(database_url)

    usage = await relay(tmp_path, "epoch", env=env)
    assert usage.returncode == 2
    assert b"--renew" in usage.stderr
    assert await epochs(database_url) == before

    renewed = await relay(tmp_path, "epoch", "--renew", env=env)
    assert (renewed.returncode, complaints(renewed.stderr)) == (0, [])
    assert renewed.stdout == b"Streams with a new epoch: 2.\n"
    after = await epochs(database_url)
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())


@pytest.mark.parametrize(
    "arguments", [("migrate",), ("migrate", "--status"), ("user", "create"), ("epoch", "--renew")]
)
async def test_every_command_fails_with_a_one_line_reason(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("mine")
    refused = await relay(tmp_path, *arguments, "--data-dir", "file")
    (line,) = complaints(refused.stderr)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert line == f"Error: data folder {tmp_path / 'file'} is not a directory"


# -- what it says of itself


def commands(group: click.Group, path: str = "relay") -> dict[str, click.Command]:
    """Every command there is, by how it is called."""
    context = click.Context(group)
    found: dict[str, click.Command] = {path: group}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found |= (
            commands(command, f"{path} {name}")
            if isinstance(command, click.Group)
            else {f"{path} {name}": command}
        )
    return found


COMMANDS = commands(main)


def test_the_commands_are_the_documented_ones() -> None:
    assert {"relay serve", "relay migrate", "relay user create", "relay epoch"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "called",
    [name for name, one in COMMANDS.items() if name == "relay" or not hasattr(one, "commands")],
)
def test_every_help_text_shows_the_command_in_an_example(called: str) -> None:
    command = COMMANDS[called]
    text = command.get_help(click.Context(command, info_name=called))
    examples = re.findall(rf"^ +(?:\w+=\S+ )*{called}\b.*$", text.partition("\n")[2], re.MULTILINE)
    assert examples, text


async def test_help_and_version_answer_and_an_unknown_command_is_a_usage_error(
    tmp_path: Path,
) -> None:
    helped = await relay(tmp_path, "--help")
    assert (helped.returncode, b"relay serve --demo" in helped.stdout) == (0, True)
    version = await relay(tmp_path, "--version")
    assert re.fullmatch(rb"relay, version \d+\.\d+\.\d+\n", version.stdout)
    unknown = await relay(tmp_path, "sevre")
    assert (unknown.returncode, b"sevre" in unknown.stderr) == (2, True)
