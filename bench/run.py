"""How fast a command's output is on its watcher's socket, and what watching costs the command.

python -m bench.run [--lines 200000] [--rounds 3]

`relay run -- seq N` against a Relay without rate limits, from the start of the process until the
last line is on a subscriber's WebSocket. And a command that prints as fast as it can, alone and
watched: what that costs it.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench.readers import Reader
from bench.servers import call, relay

RELAY = [sys.executable, "-m", "relay.cli.main"]
COPY = 2**28  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    with relay() as (port, _), tempfile.TemporaryDirectory() as home:
        session = call(port, "/api/user")["session_token"]
        token = call(port, "/api/token", session)["token"]
        env = {
            **os.environ,
            "RELAY_URL": f"http://127.0.0.1:{port}",
            "RELAY_TOKEN": token,
            "XDG_STATE_HOME": home,
        }
        rates = []
        for number in range(wanted.rounds):
            seconds, start = asyncio.run(_watch(port, session, env, wanted.lines))
            rates.append(wanted.lines / seconds)
            print(
                f"round {number + 1}  {rates[-1]:8.0f} lines/s until seen; {seconds:.2f} s, of"
                f" which {start:.2f} s until the start is"
            )
        print(f"median {statistics.median(rates):.0f} lines/s")
        copy = ["sh", "-c", f"yes | head -c {COPY}"]
        alone = _timed(copy, env)
        nothing = _timed([*RELAY, "run", "--", "true"], env)
        watched = _timed([*RELAY, "run", "--wait", "0", "--", *copy], env)
        print(
            f"{COPY >> 20} MiB of short lines: {alone:.2f} s alone, {watched:.2f} s watched"
            f" ({nothing:.2f} s with nothing to pass on)"
        )


async def _watch(port: int, session: str, env: dict[str, str], lines: int) -> tuple[float, float]:
    """Seconds until the task's end is on the socket, and until its start was; all lines checked."""
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(lambda: Reader(port, session), "127.0.0.1", port)
    await reader.open.wait()
    began = time.monotonic()
    started = 0.0
    process = await asyncio.create_subprocess_exec(
        *RELAY, "run", "--", "seq", str(lines), env=env, stdout=subprocess.DEVNULL
    )
    while b'"task_succeeded"' not in reader.data[-1_000:]:
        if not started and b'"task_started"' in reader.data[:2_000]:
            started = time.monotonic() - began
        await asyncio.sleep(0.005)
    took = time.monotonic() - began
    assert await process.wait() == 0
    told: list[str] = []
    before = 0
    for _, end in reader.placed():
        message = bytes(reader.data[before:end])
        event = json.loads(message[message.index(b'{"id"') :])
        if event["event_type"] == "log":
            told += event["payload"]["message"].split("\n")
        before = end
    assert told == [str(number) for number in range(1, lines + 1)]
    assert reader.transport is not None
    reader.transport.close()
    return took, started


def _timed(command: list[str], env: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
