"""What an answer to posted events means: one of four values, decided once by `posting`."""

from typing import Any

import msgspec

from relay.client.answers import AUTHORIZATION_CODES, INVALID_EVENT_CODES


class Stored(msgspec.Struct, frozen=True):
    """The events are stored. `receipt` is Relay's answer."""

    receipt: dict[str, Any]


class RetryLater(msgspec.Struct, frozen=True):
    """Relay did not answer, or is busy and asked for a pause of `retry_after` seconds."""

    why: str
    retry_after: float | None = None


class NotRelay(msgspec.Struct, frozen=True):
    """Another program answered. The events are not stored; a later attempt may reach Relay.

    `status` is 0 if its answer was not HTTP.
    """

    status: int
    why: str
    retry_after: None = None  # only Relay's word counts

    @property
    def is_size_limit(self) -> bool:
        """Whether smaller requests may get through: a proxy limits their size."""
        return self.status == 413

    @property
    def may_be_about_content(self) -> bool:
        """Whether other events may get through: a firewall looks at what a request holds."""
        return 400 <= self.status < 500 and self.status not in (401, 407, 413)


class Refused(msgspec.Struct, frozen=True):
    """Relay refused the request: trying again does not help."""

    code: str
    why: str

    @property
    def is_authorization_error(self) -> bool:
        return self.code in AUTHORIZATION_CODES

    @property
    def is_event_error(self) -> bool:
        return self.code in INVALID_EVENT_CODES


Answer = Stored | RetryLater | NotRelay | Refused
