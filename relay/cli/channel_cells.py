"""A channel and a delivery as rows of text."""

from relay.cli.channel_answers import ChannelRow, DeliveryRow
from relay.cli.times import minute_text
from relay.client.duration_text import duration_text

COLUMNS = ("KIND", "WHERE", "FOR", "LAST DELIVERY", "LAST ERROR", "CHANNEL_ID")
DELIVERY_COLUMNS = ("WHEN", "WHAT", "TASK", "OUTCOME", "TRIES", "STATUS", "ERROR")
OUTCOMES = {
    "waiting": "waiting",
    "delivered": "delivered",
    "failed": "failed",
    "watched": "not sent: the page was open",
    "outdated": "not sent: the question was over",
    "left_out": "not sent: too many waited",
}


def channel_cells(channel: ChannelRow) -> tuple[str, ...]:
    """A channel as a row of the list. Times are in UTC, to the minute."""
    error = channel.last_error or "-"
    if channel.ended_at is not None:
        error = f"ended: {error}"
    elif channel.failed_at is not None and not is_failing(channel):
        error = f"{minute_text(channel.failed_at)} {error}"
    return (
        channel.kind,
        _where(channel) or "-",
        events_text(channel),
        minute_text(channel.delivered_at) if channel.delivered_at else "never",
        error,
        channel.channel_id,
    )


def _where(channel: ChannelRow) -> str:
    """Where it leads; a few digits distinguish devices of one service."""
    return " ".join(
        text[:4] if name == "subscription_id" else text for name, text in channel.shown.items()
    )


def is_failing(channel: ChannelRow) -> bool:
    """Whether the last thing that happened is a failure."""
    return channel.failed_at is not None and channel.failed_at > (channel.delivered_at or "")


def events_text(channel: ChannelRow) -> str:
    """The states that a channel is for, as `failed, succeeded after 2:00`."""
    after = channel.min_duration_s
    return ", ".join(
        f"{event} after {duration_text(after)}" if event == "succeeded" and after > 0 else event
        for event in channel.on
    )


def delivery_cells(delivery: DeliveryRow) -> tuple[str, ...]:
    """A delivery as a row of the list."""
    return (
        minute_text(delivery.made_at),
        delivery.type.rpartition(".")[2],
        delivery.task_id or "-",
        OUTCOMES.get(delivery.outcome, delivery.outcome),
        str(delivery.attempts),
        "-" if delivery.status is None else str(delivery.status),
        delivery.error or "-",
    )


def result_text(delivery: DeliveryRow) -> str:
    """What became of a test, as a sentence."""
    status = "" if delivery.status is None else f" ({delivery.status})"
    if delivery.outcome == "delivered":
        return f"It arrived{status}."
    if delivery.outcome == "waiting":
        return f"It did not arrive: {delivery.error}. Relay tries again."
    return f"It did not arrive: {delivery.error or OUTCOMES[delivery.outcome]}."
