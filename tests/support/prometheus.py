"""A real Prometheus with the configuration of `ops/`, queried over its API."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program

OPS = Path(__file__).parents[2] / "ops"


class Prometheus:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, **query: str) -> object:
        answer = await self._http.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def query(self, expression: str) -> dict[str, float]:
        """The values of an instant query; a series is named by its labels' values."""
        data = await self.get("query", query=expression)
        assert isinstance(data, dict)
        return {
            "/".join(value for _, value in sorted(series["metric"].items())): float(
                series["value"][1]
            )
            for series in data["result"]
        }

    async def shows(self, expression: str, expected: dict[str, float]) -> None:
        """Wait until a query gives just this."""
        found: dict[str, float] = {}
        with trio.move_on_after(PATIENCE):
            while (found := await self.query(expression)) != expected:  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert found == expected, f"{expression} gives {found}"


def configured(folder: Path, target: str, token: str) -> Path:
    """The example, as an operator would change it; scraping oftener, for impatient tests."""
    text = (OPS / "prometheus" / "prometheus.yml").read_text()
    for shipped, changed in (
        ('["relay.internal:8000"]', json.dumps([target])),
        ("/etc/prometheus/relay.token", str(folder / "token")),
        ("- alerts.yml", f"- {OPS / 'prometheus' / 'alerts.yml'}"),
        ("_interval: 15s", "_interval: 300ms"),
    ):
        assert shipped in text
        text = text.replace(shipped, changed)
    (folder / "token").write_text(token)
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


@asynccontextmanager
async def watching(folder: Path, target: str, token: str) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes `target`, for the length of the block."""
    command, config = program("prometheus"), configured(folder, target, token)
    port = HeldPort()
    address = f"127.0.0.1:{port.number}"
    with (folder / "prometheus.log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            [
                command,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE) as http:
            with trio.fail_after(PATIENCE):
                while not await _is_ready(http):
                    log_text = (folder / "prometheus.log").read_text()
                    assert process.poll() is None, log_text
                    await trio.sleep(0.05)
            yield Prometheus(http)
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
        port.release()


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/-/ready")).status_code == 200
    except httpx.TransportError:
        return False
