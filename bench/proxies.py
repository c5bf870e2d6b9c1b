"""Peers that are programs of Debian with a configuration file: nginx with nchan, and Pushpin."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peer import Endpoint, PeerInstance, StartOptions
from bench.processes import ROOT, PeerUnavailable, running
from bench.shapes import Compose
from tests.support.ports import HeldPort

PEERS = ROOT / "bench" / "peers"
PEERS_ENVIRONMENT = ROOT / ".venv-bench"  # the peers' packages, separate from Relay's
NCHAN_MODULE = PEERS_ENVIRONMENT / "nchan/usr/lib/nginx/modules/ngx_nchan_module.so"
PUSHPIN_SETTINGS = Path("/usr/lib/pushpin/internal.conf")


@contextmanager
def nchan(options: StartOptions) -> Iterator[PeerInstance]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if nginx is None or not NCHAN_MODULE.exists():
        raise PeerUnavailable("it takes Debian's nginx and libnginx-mod-nchan")
    tls, certificate = "", ""
    if options.certificate:
        tls = " ssl"
        files = options.certificate
        certificate = f"ssl_certificate {files.certificate}; ssl_certificate_key {files.key};"
    with HeldPort() as held, tempfile.TemporaryDirectory() as folder:
        port = held.number
        os.chmod(folder, 0o711)  # nginx workers run as an unprivileged user
        values = {"module": NCHAN_MODULE, "workers": options.workers, "port": port}
        path = _configured("nchan.conf", folder, values | {"tls": tls, "certificate": certificate})
        command = [nginx, "-c", str(path)]
        with running(command, port, {}, cores=options.cores, tls=options.tls) as program:

            def endpoints(count: int, _posting: bool) -> list[Endpoint]:
                named = (f"user=u{number}" for number in range(count))
                return [Endpoint(port, sse="/api/rt", query=name) for name in named]

            yield PeerInstance(program, endpoints, options.tls)


def _configured(name: str, folder: str, values: Mapping[str, object]) -> Path:
    """A configuration file of `bench/peers/` with its {…} replaced, in this folder."""
    text = (PEERS / name).read_text()
    for slot, value in {**values, "folder": folder}.items():
        text = text.replace(f"{{{slot}}}", str(value))
    path = Path(folder) / name
    path.write_text(text)
    return path


@contextmanager
def pushpin(options: StartOptions) -> Iterator[PeerInstance]:
    if shutil.which("pushpin") is None or not PUSHPIN_SETTINGS.exists():
        raise PeerUnavailable("it takes Debian's pushpin")
    with ExitStack() as held, tempfile.TemporaryDirectory() as folder:
        port, origin, control = (held.enter_context(HeldPort()).number for _ in range(3))
        listen = f"http_port=127.0.0.1:{port}"
        if options.certificate:
            listen = f"https_ports=127.0.0.1:{port}"
            certs = Path(folder) / "runner/certs"
            certs.mkdir(parents=True)
            shutil.copy(options.certificate.certificate, certs / f"default_{port}.crt")
            shutil.copy(options.certificate.key, certs / f"default_{port}.key")
        _configured("pushpin.conf", folder, {"listen": listen, "control": control})
        command = [sys.executable, str(PEERS / "pushpin_origin.py"), str(port), str(origin), folder]
        with running(command, port, {}, cores=options.cores, tls=options.tls) as program:

            def endpoints(count: int, _posting: bool) -> list[Endpoint]:
                return [
                    Endpoint(
                        port,
                        post="/publish/",
                        stream_query=f"user=u{number}",
                        post_port=control,
                        compose={kind: published(f"u{number}", kind) for kind in ("ws", "sse")},
                    )
                    for number in range(count)
                ]

            yield PeerInstance(program, endpoints, options.tls)


def published(channel: str, kind: str) -> Compose:
    """How Pushpin's control endpoint takes events for a channel's streams of this kind."""

    def compose(event: bytes, count: int) -> bytes:
        text = event.decode()
        content = text if kind == "ws" else f"data: {text}\n\n"
        name = "ws-message" if kind == "ws" else "http-stream"
        item = json.dumps(
            {"channel": channel, "formats": {name: {"content": content}}}, ensure_ascii=False
        )
        return b'{"items":[%s]}' % b",".join([item.encode()] * count)

    return compose
