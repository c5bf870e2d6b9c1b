"""`relay user`, `epoch` and `migrate`, beside a running Relay and without one."""

from pathlib import Path
from uuid import UUID

import pytest

from relay.db.pool import connect
from tests.support.commands import RELAY, complaints, environment, relay, running
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import User, bearer, visiting
from tests.support.serve_command import SERVE


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
    env = environment(RELAY_BIND=f"0.0.0.0:{port.number}", RELAY_OPEN_SIGNUP="off")
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
