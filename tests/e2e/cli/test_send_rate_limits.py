"""`relay send -` of many lines keeps the pace of a rate limit, and names the line to go on with."""

import subprocess

from tests.support.commands import RELAY, environment
from tests.support.relay_server import running_relay
from tests.support.stand_in import TOKEN, Answer, StandIn, busy, refusal
from tests.support.terminals import piped


def limited(limit: int, remaining: int = 0, reset: int = 0) -> Answer:
    """A refusal by a rate limit that is over at once."""
    status, problem, headers = busy("0", 429)
    quota = {"Limit": limit, "Remaining": remaining, "Reset": reset}
    return status, problem, headers | {f"RateLimit-{name}": str(n) for name, n in quota.items()}


async def bulk(lines: int, wait: str, stand_in: StandIn) -> "subprocess.CompletedProcess[bytes]":
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    stdin = b"".join(b'{"event_type":"log","payload":%d}\n' % n for n in range(lines))
    return await piped([*RELAY, "send", "-", "--wait", wait], env, stdin=stdin)


async def test_the_time_that_a_rate_limit_asks_for_is_not_the_patience(stand_in: StandIn) -> None:
    stand_in.script.extend([limited(2_000)] * 5)
    done = await bulk(1_500, "0", stand_in)
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in stand_in.events] == list(range(1_500))


async def test_a_limit_lower_than_a_batch_means_smaller_batches(stand_in: StandIn) -> None:
    stand_in.script.append(limited(70))
    done = await bulk(200, "0", stand_in)
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in stand_in.events] == list(range(200))
    assert max(stand_in.batches) <= 70


async def test_a_bulk_that_cannot_go_on_names_the_line_to_go_on_with(stand_in: StandIn) -> None:
    receipt = {"ok": True, "accepted": 1000, "duplicates": 0, "first_seq": 1, "last_seq": 1000}
    half: Answer = (200, receipt, {})
    refused = refusal(422, "invalid", "Some lines are wrong: line 7")
    for last, code, expected in (
        ([limited(2_000)] * 11, 5, b"not stored: Relay answered: Too much is going on."),
        ([busy("60")], 5, b"not stored: Relay answered: Too much is going on."),
        ([refused], 1, b"line 1007"),
    ):
        stand_in.script.extend([half, *last])
        done = await bulk(1_500, "0", stand_in)
        assert (done.returncode, expected in done.stderr) == (code, True), done.stderr
        assert b"Lines 1 to 1000 are stored." in done.stderr
        assert b"`tail -n +1001 FILE | relay send -`" in done.stderr
    stand_in.script.append(refused)
    first = await bulk(1_500, "0", stand_in)
    assert (first.returncode, b"are stored" in first.stderr) == (1, False)


async def test_a_bulk_keeps_the_pace_of_a_real_limit(database_url: str) -> None:
    async with running_relay(
        database_url,
        RELAY_RATE_LIMITS="on",
        RELAY_RATE_EVENTS_PER_TOKEN="4000/s burst 900",
        RELAY_RATE_EVENTS_PER_ADDRESS="100000/s burst 100000",
    ) as relay:
        user = await relay.user()
        stdin = b"".join(b'{"event_type":"log","payload":%d}\n' % n for n in range(5_000))
        env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
        done = await piped([*RELAY, "send", "-", "--wait", "0"], env, stdin=stdin)
        assert done.returncode == 0, done.stderr
        last = (await user.call("GET", "/api/events?last=1")).json()["events"]
    assert [(event["seq"], event["payload"]) for event in last] == [(5_000, 4_999)]
