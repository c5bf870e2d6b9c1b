"""A push service (RFC 8030) that checks VAPID and decrypts: web-push-testing, from npm.

It takes what a browser's push service would, and shows what a browser would have read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio

from tests.support.commands import running
from tests.support.npm_packages import installed_copy
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.programs import program
from tests.support.relay_server import NO_AUTHORITIES, User

HERE = Path(__file__).parent


class Device:
    """A browser's subscription: what it gives a page, and what it is sent."""

    def __init__(self, http: httpx.AsyncClient, made: dict[str, Any]) -> None:
        self._http = http
        self._id = made.pop("clientHash")
        self.subscription: dict[str, Any] = {**made, "expirationTime": None}

    @property
    def endpoint(self) -> str:
        return str(self.subscription["endpoint"])

    async def messages(self) -> list[dict[str, Any]]:
        """All that it was sent, decrypted, in order."""
        answer = await self._http.post("/get-notifications", json={"clientHash": self._id})
        assert answer.status_code == 200, answer.text
        return [msgspec.json.decode(text) for text in answer.json()["data"]["messages"]]

    async def message(self, count: int = 1) -> dict[str, Any]:
        """Wait until it was sent so many; returns the last."""
        with trio.fail_after(PATIENCE):
            while len(found := await self.messages()) < count:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY * 10)
        assert len(found) == count, found
        return found[-1]

    async def expire(self) -> None:
        """From now on the service answers 410."""
        answer = await self._http.post(f"/expire-subscription/{self._id}")
        assert answer.status_code == 200, answer.text


class PushService:
    """The service, for browsers that subscribe."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def subscribe(self, key: str) -> Device:
        """As `pushManager.subscribe` with this applicationServerKey."""
        wanted = {"applicationServerKey": key, "userVisibleOnly": "true"}
        answer = await self._http.post("/subscribe", json=wanted)
        assert answer.status_code == 200, answer.text
        return Device(self._http, answer.json()["data"])


@asynccontextmanager
async def push_service(packages: Path) -> AsyncIterator[PushService]:
    """The service on a port of its own, from its installed packages."""
    command = (program("node", "nodejs"), packages / "serve.mjs")
    async with running(command, packages) as process:
        url = (await process.says(r"listens on (http://\S+)\n"))[1]
        client = httpx.AsyncClient(base_url=url, timeout=PATIENCE, verify=NO_AUTHORITIES)
        async with client as http:
            yield PushService(http)


def push_service_packages(folder: Path) -> Path:
    """The packages of the service, installed below an empty folder."""
    return installed_copy(HERE, folder / "push_service")


async def push_new(user: User, service: PushService) -> Device:
    """A device with a subscription that Relay does not know yet."""
    key = (await user.call("GET", "/api/channels/webpush/key")).json()["public_key"]
    return await service.subscribe(key)


async def push_device(user: User, service: PushService, **rules: Any) -> tuple[Device, str]:
    """A device that the user is notified on, and the id of its channel."""
    device = await push_new(user, service)
    body = {"kind": "webpush", "subscription": device.subscription, **rules}
    answer = await user.call("POST", "/api/channels", json=body)
    assert answer.status_code == 201, answer.text
    return device, answer.json()["channel_id"]
