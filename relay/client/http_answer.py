"""An HTTP answer, by whatever program."""

from collections.abc import Mapping

import msgspec


class HttpAnswer(msgspec.Struct, frozen=True):
    """A complete answer. `url` is the address without a path."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def status_line(self) -> str:
        return f"{self.status} {self.reason}".strip()

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def encoding(self) -> str:
        """The Content-Encoding, in lower case; empty if there is none. None was asked for."""
        named = self.headers.get("content-encoding", "").lower().split(",")
        return ", ".join(one for name in named if (one := name.strip()) not in ("", "identity"))
