"""`relay send -`: each line of stdin is an event, sent when it comes; a wrong one is named."""

import signal
import subprocess
from pathlib import Path

import pytest
import trio

from tests.support.commands import RELAY, complaints, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay
from tests.support.send_command import pipe
from tests.support.stand_in import TOKEN, StandIn
from tests.support.stored_events import stored
from tests.support.terminals import piped

LINE = '{"event_type":"log","payload":{"n":1}}'
FILES = {
    "byte order mark": (LINE + "\n").encode("utf-8-sig"),
    "CRLF": f"{LINE}\r\n{LINE}\r\n".encode(),
    "byte order mark and CRLF": f"{LINE}\r\n\r\n{LINE}\r\n".encode("utf-8-sig"),
    "two files with marks": (LINE + "\n").encode("utf-8-sig") * 2,
    "a document with a mark and CRLF": LINE.replace(",", ",\r\n").encode("utf-8-sig"),
    "white space around": f"\n \t{LINE} \t\n\n".encode(),
}


@pytest.mark.parametrize("stdin", FILES.values(), ids=FILES.keys())
async def test_files_of_other_systems_are_taken(relay: Relay, stdin: bytes) -> None:
    user = await relay.user()
    done = await pipe(stdin, RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    assert done.returncode == 0, done.stderr
    assert [event["payload"] for event in await stored(user)] == [{"n": 1}] * stdin.count(b'{"e')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_a_file_in_another_encoding_is_named(stand_in: StandIn, encoding: str) -> None:
    account = {"RELAY_URL": stand_in.url, "RELAY_TOKEN": TOKEN}
    done = await pipe(f"{LINE}\r\n{LINE}\r\n".encode(encoding), **account)
    (line,) = complaints(done.stderr)
    assert (done.returncode, stand_in.requests) == (1, 0)
    assert line.startswith(f"Error: stdin is UTF-{encoding[4:6]}")
    assert "Save it as UTF-8" in line


async def test_a_line_beyond_every_request_is_refused_before_it_fills_memory(
    stand_in: StandIn,
) -> None:
    account = {"RELAY_URL": stand_in.url, "RELAY_TOKEN": TOKEN}
    for stdin in (b'{"x": "' + b"a" * 2**21, b"{\n" * 2**20):
        done = await pipe(stdin, **account)
        assert (done.returncode, b"too long" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("stdin", "receipt"),
    [
        (b'{"event_type": "log", "payload": {"n": 1}}', b"seq 1  id "),
        (b'{\n  "event_type": "log",\n  "payload": {"n": 1}\n}\n', b"seq 1  id "),
        (b'{"event_type": "log", "payload": {"n": 1}}\n\n' * 3, b"3 stored  seq 1 to 3\n"),
    ],
)
async def test_events_come_on_stdin(relay: Relay, stdin: bytes, receipt: bytes) -> None:
    user = await relay.user()
    done = await pipe(stdin, RELAY_URL=relay.url, RELAY_TOKEN=await user.hook())
    assert (done.returncode, done.stdout[: len(receipt)]) == (0, receipt), done.stderr
    assert {event["payload"]["n"] for event in await stored(user)} == {1}


async def test_a_line_is_sent_when_it_comes_not_when_stdin_ends(relay: Relay) -> None:
    user = await relay.user()
    process = await trio.lowlevel.open_process(
        [*RELAY, "send", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook()),
        start_new_session=True,
    )
    with trio.fail_after(PATIENCE):
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            for number in (1, 2):
                line = b'{"event_type":"log","payload":%d,"event_id":"e-%d"}\n' % (number, number)
                await process.stdin.send_all(line)
                shown = b""
                while not shown.endswith(b"\n"):
                    more = await process.stdout.receive_some()
                    assert more, shown
                    shown += more
                assert shown == b"seq %d  id e-%d\n" % (number, number)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130


async def test_many_lines_go_in_batches(stand_in: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"event_type":"log","payload":{}}\n' * 5_000)
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    with path.open("rb") as events:  # all of it is there at once
        done = await piped([*RELAY, "send", "-"], env, stdin=events)
    assert (done.returncode, len(stand_in.events)) == (0, 5_000)
    assert stand_in.batches == [1_000] * 5


async def test_a_line_that_is_no_event_ends_it_and_is_named(relay: Relay) -> None:
    user = await relay.user()
    account = {"RELAY_URL": relay.url, "RELAY_TOKEN": await user.hook()}
    good = b'{"event_type":"log","payload":{}}\n'
    for stdin, expected in (
        (good + b"hello\n", b"line 2 of stdin is not a JSON object"),
        (b"[" + good + b"]", b"Write one event per line, as `jq -c` does"),
        (b"{}\n\xff\xff\n", b"line 2 of stdin is not a JSON object"),
        (good + b'\n\n{"event_type":"x"}\n', b"line 4: event_type: must be one of"),
        (b'\n{"event_type":"log"}\n', b"line 2 of stdin: Relay refused this event"),
    ):
        done = await pipe(stdin, **account)
        assert (done.returncode, expected in done.stderr) == (1, True), done.stderr
    assert await stored(user) == []
