"""A plain EventSource in a real browser comes back by itself: it has no code of Relay's."""

import signal
from pathlib import Path

import trio

from tests.support.browser.chromium import Chromium
from tests.support.patience import PATIENCE
from tests.support.processes import send
from tests.support.relay_process import Program, running

TRUST_SECONDS = 2.5  # seconds that a cached credential is trusted while no database answers

OPEN = """async () => {
  window.seen = { hello: 0, close: [], events: [] };
  if (!window.source) while (!(await fetch('/api/user', { method: 'POST' })).ok);
  window.source = new EventSource('/api/sse');
  window.source.addEventListener('hello', () => window.seen.hello += 1);
  window.source.addEventListener('close', (e) => window.seen.close.push(JSON.parse(e.data)));
  window.source.onmessage = (e) => window.seen.events.push(JSON.parse(e.data).payload);
}"""


async def test_an_outage_and_a_restart_do_not_close_it_for_good(
    tmp_path: Path, chromium: Chromium
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT="1")
    program.altered = {"relay.auth.revocations.TRUST_SECONDS": TRUST_SECONDS}
    async with running(program), chromium.profile() as profile:
        tab = await profile.open(f"{program.url}/docs")

        async def until(condition: str) -> None:
            with trio.fail_after(PATIENCE):
                while not await tab.run(f"() => {condition}"):  # noqa: ASYNC110 - another process
                    await trio.sleep(0.05)

        await tab.run(OPEN)
        await until("seen.hello === 1")
        await tab.run("() => source.close()")
        processes = program.postgres()
        send(processes, signal.SIGSTOP)
        await program.says("database_away")
        await tab.run(OPEN)  # it meets an outage at once, and again each time it comes back
        await until("seen.close.length >= 2")
        assert {each["reason"] for each in await tab.run("() => seen.close")} == {"database_away"}
        assert await tab.run("() => source.readyState") != 2
        send(processes, signal.SIGCONT)
        await until("seen.hello === 1")
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
        await program.start()
        await until("seen.hello === 2")
        assert await tab.run("() => source.readyState") == 1
    refused = [line for line in program.logged("request_ended") if line["route"] == "/api/sse"]
    assert {line["status"] for line in refused} <= {503}
