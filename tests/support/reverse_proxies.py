"""The proxies of `ops/`, started with the files that operators copy.

Only what must differ in a test is replaced: names, addresses, folders. Whatever is to be
replaced and is not there fails the test, so the files cannot drift away from what is tested.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from tests.support.certificates import self_signed
from tests.support.commands import Command, environment, running
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program
from tests.support.relay_server import NO_AUTHORITIES, Relay, running_relay

OPS = Path(__file__).parents[2] / "ops"

# around relay.conf: what a distribution's nginx.conf brings, in a folder of the test's own
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; # nginx opens its default, a file of root's, otherwise
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    include {folder}/relay.conf;
}}
"""

# before the Caddyfile: no port but the test's, no certificate from elsewhere, none for the machine
_CADDY = """
{
    admin off
    auto_https disable_redirects
    local_certs
    skip_install_trust
    servers {
        timeouts {
            idle 5m
        }
    }
}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy that listens, whether or not Relay stands behind it."""

    name: str
    url: str
    tls_url: str
    folder: Path
    relay_port: int  # where it looks for Relay

    def relay(self, http: httpx.AsyncClient) -> Relay:
        """Relay as it is seen through this proxy."""
        return Relay(self.url, http)

    @property
    def settings(self) -> dict[str, str]:
        """What the how-tos tell Relay of the proxy in front."""
        return {
            "RELAY_BIND": f"127.0.0.1:{self.relay_port}",
            "RELAY_TRUSTED_PROXIES": "1",
            "BASE_URL": self.url,
        }

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client that comes to the proxy from an address of loopback's own."""
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=NO_AUTHORITIES)
        return httpx.AsyncClient(base_url=self.url, transport=transport, timeout=PATIENCE)

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """The text with every change made. Fails where there is nothing to change."""
    for before, after in changes.items():
        assert before in text, f"{before!r} does not stand there any more"
        text = text.replace(before, after)
    return text


@asynccontextmanager
async def proxy(name: str, folder: Path, changes: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """A running nginx or caddy; `changes` are further replacements in its file, by text."""
    held = [HeldPort() for _ in range(4)]  # no other program's for as long as this runs
    plain, tls, unused, relay_port = (port.number for port in held)
    made = Proxy(name, f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", folder, relay_port)
    ready = f"{made.url}/metrics"  # the one address that answers without Relay: with 404
    arguments = {"nginx": _nginx, "caddy": _caddy}[name](made, plain, tls, unused, changes)
    env = {**environment(), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    async with running(arguments, folder, env) as command:
        await _listening(command, ready)
        yield made


async def _listening(command: Command, url: str) -> None:
    async with httpx.AsyncClient(verify=NO_AUTHORITIES) as http:
        with trio.fail_after(PATIENCE):
            while True:
                assert command.process.poll() is None, "it ended instead"
                try:
                    await http.get(url)
                    return
                except httpx.TransportError:
                    await trio.sleep(0.02)


def _nginx(
    made: Proxy, plain: int, tls: int, unused: int, changes: Mapping[str, str]
) -> tuple[str, ...]:
    folder = made.folder
    certificate = self_signed(folder)
    site = replaced(
        (OPS / "nginx" / "relay.conf").read_text(),
        {
            "127.0.0.1:8000": f"127.0.0.1:{made.relay_port}",
            "listen 80;": f"listen 127.0.0.1:{unused};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2; listen 127.0.0.1:{plain};",
            "server_name relay.example.com;": "server_name 127.0.0.1 localhost;",
            "/etc/letsencrypt/live/relay.example.com/fullchain.pem": certificate["certfile"],
            "/etc/letsencrypt/live/relay.example.com/privkey.pem": certificate["keyfile"],
            "/var/log/nginx/relay.log": f"{folder}/access.log",
            "/var/log/nginx/relay.error.log": f"{folder}/relay.error.log",
            **changes,
        },
    )
    (folder / "relay.conf").write_text(site)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    return (program("nginx", "nginx-light"), "-p", str(folder), "-c", f"{folder}/nginx.conf")


def _caddy(
    made: Proxy, plain: int, tls: int, _: int, changes: Mapping[str, str]
) -> tuple[str, ...]:
    folder = made.folder
    site = replaced(
        (OPS / "caddy" / "Caddyfile").read_text(),
        {
            "127.0.0.1:8000": f"127.0.0.1:{made.relay_port}",
            "\nrelay.example.com {": f"\n{made.url}, {made.tls_url} {{",
            "\tlog {\n": f"\tlog {{\n\t\toutput file {folder}/access.log\n",
        },
    )
    (folder / "Caddyfile").write_text(replaced(_CADDY + site, changes))
    return (program("caddy"), "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile")


PROXIES = ("nginx", "caddy")


@asynccontextmanager
async def behind(
    front: Proxy, database_url: str, *, stop: trio.Event | None = None, **settings: str
) -> AsyncIterator[Relay]:
    """Relay where the proxy looks for it, and how it is seen from the other side."""
    given = {**front.settings, **settings}
    async with running_relay(database_url, stop, **given), front.client() as http:
        yield front.relay(http)
