"""Each bound holds when 64 callers come at the same moment, and each bound has a row here."""

import ast
import dataclasses
from pathlib import Path

import httpx
import msgspec
import pytest

import relay
from relay.config.settings import Settings
from relay.server.limits import ConnectionLimits
from tests.support.bounds.callers import CALLERS, Row, at_once, requests, value
from tests.support.bounds.rows import ONE_USE, ROWS
from tests.support.bounds.uncounted import CONSTANTS, LIMITS, SETTINGS
from tests.support.relay_server import running_relay

SOURCE = Path(relay.__file__).parent
CLIENT_ROOMS = ("cli", "client", "runner")  # of the producer's side, which serves no callers


@pytest.mark.parametrize(
    "row", [*ROWS, ONE_USE], ids=lambda row: " ".join([row.bound, row.name]).strip()
)
async def test_a_bound_admits_as_many_callers_as_it_names(
    database_url: str, monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    for name, small in row.patches.items():
        monkeypatch.setattr(name, small)
    wide = {
        "RELAY_DATABASE_CONNECTIONS": "16",
        "RELAY_MAX_CONNECTIONS_PER_USER": f"{2 * CALLERS}",
    }
    async with running_relay(database_url, **{**wide, **row.settings}) as server:
        async with row.callers(server, database_url) as caller:
            before = {series: value(series) for series in row.series}
            assert await at_once(caller) == row.statuses
            grown = {series: value(series) - before[series] for series in row.series}
        assert grown == row.series


async def test_links_of_a_session_made_and_opened_at_once(database_url: str) -> None:
    """A link opens once, and making another one meanwhile never waits for it without end."""
    async with running_relay(database_url, RELAY_DATABASE_CONNECTIONS="16") as server:
        user = await server.user()
        made = await user.call("POST", "/api/session/link")
        code = made.json()["link"].partition("#link=")[2]
        redeemed: list[int] = []

        async def make_or_open(number: int) -> httpx.Response:
            if number % 2:
                return await user.call("POST", "/api/session/link")
            answer = await server.http.post("/api/session/link/redeem", json={"code": code})
            redeemed.append(answer.status_code)
            return answer

        statuses = await at_once(requests(make_or_open))
        server.http.cookies.clear()
        assert redeemed.count(201) <= 1
        assert statuses[201] == CALLERS // 2 + redeemed.count(201)
        assert statuses[201] + statuses[410] == CALLERS


# -- the table is complete


def constants() -> set[str]:
    """The constants of the server's side that bound something, with their modules."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        if parts[1] in CLIENT_ROOMS:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name.lstrip("_").startswith(("MAX_", "SLOTS")) or name in NAMED:
                    found.add(".".join([*parts, name]))
    return found


NAMED = {"REQUEST_CONNECTIONS"}  # a bound with another name


def test_every_bound_has_a_row_or_a_reason() -> None:
    rows = {row.bound for row in ROWS}
    settings = {field.name for field in dataclasses.fields(Settings)}
    assert rows | set(SETTINGS) | set(CONSTANTS) == settings | constants()
    assert not rows & (set(SETTINGS) | set(CONSTANTS))
    assert set(LIMITS) == {field.name for field in msgspec.structs.fields(ConnectionLimits)}
