"""A certificate for a server that is measured over TLS, and the client's side of it."""

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import self_signed


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of the certificate of 127.0.0.1 and of its key, both PEM."""

    certificate: str
    key: str

    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this certificate alone, and verifies it as any client."""
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def environ(self) -> dict[str, str]:
        """What the programs of `bench/peers/` read."""
        return {"TLS_CERTIFICATE": self.certificate, "TLS_KEY": self.key}


@contextmanager
def new_certificate() -> Iterator[Certificate]:
    """A self-signed certificate that is there until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        paths = self_signed(Path(folder))
        yield Certificate(paths["certfile"], paths["keyfile"])
