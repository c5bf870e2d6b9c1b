"""What an HTTP answer of a receiver means for a notification."""

from collections.abc import Collection

from relay.channels.kinds.base import Delivered, Outcome, Refused, Retry
from relay.channels.outbound_answer import OutboundAnswer
from relay.channels.urls import parse_url

GONE = (410,)  # as Standard Webhooks has it: the receiver wants no more
SHOWN_CHARACTERS = 4  # of the end of an address, to tell two of one host apart


def outcome_of(
    answer: OutboundAnswer, *, gone: Collection[int] = GONE, refused: Collection[int] = ()
) -> Outcome:
    """2xx is a delivery, `gone` ends the channel, `refused` gives up, and all else is tried again.

    A redirect is not followed: it could lead anywhere.
    """
    status = answer.status
    if 200 <= status < 300:
        return Delivered(status)
    if status in gone:
        return Refused("the receiver wants no more notifications", status, ends_channel=True)
    if status in refused:
        return Refused(f"the receiver answered {status}", status)
    if 300 <= status < 400:
        return Retry(f"the receiver answered {status}: redirects are not followed", status)
    return Retry(f"the receiver answered {status}", status, answer.retry_after)


def shortened(url: str) -> str:
    """An address as lists show it: its origin, and the end of the rest, which may be a secret."""
    parsed = parse_url(url)
    origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
    rest = parsed.raw_path.decode("ascii")
    return origin if rest in ("", "/") else f"{origin}/…{rest[-SHOWN_CHARACTERS:]}"
