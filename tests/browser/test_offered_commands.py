"""The commands that the page offers work when they are pasted into a shell."""

import sys
from pathlib import Path

from relay.web.own_wheel import wheel_name
from tests.support.browser.chromium import Chromium
from tests.support.browser.visits import first_visit
from tests.support.commands import environment, run_command
from tests.support.programs import program
from tests.support.relay_server import Relay

# a `relay` on the PATH, wherever the tests' own is
INSTALLED = f'relay() {{ "{sys.executable}" -m relay.cli.main "$@"; }}'
MAKEFILE = "all:\n\t@echo all is made\ntest:\n\t@echo one test passed\n"


async def test_offered_commands_work_when_pasted(
    relay: Relay, chromium: Chromium, tmp_path: Path
) -> None:
    bash = program("bash")
    for name in ("curl", "make"):
        program(name)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    state = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await tab.do(lambda page: page.click("#first-token"))
        await tab.do(lambda page: page.locator("#first-lines pre").first.wait_for())
        code = tab.do(lambda page: page.locator("#first-lines pre").all_text_contents())
        connect, hello, run, install, without = await code
        assert run == "relay run -- make test"
        assert "curl" in hello
        assert install == f"pip install {relay.url}/install/{wheel_name()}"
        assert "curl" in without

        script = "\n".join([INSTALLED, "set -e", connect, hello, run, without])
        ended = await run_command([bash, "-c", script], tmp_path, environment(**state))
        assert ended.returncode == 0, ended.stderr.decode()
        # the command's own output is untouched
        assert b"one test passed\nall is made\n" in ended.stdout.replace(b"\r\n", b"\n")

        done = "li[data-state=succeeded]"
        for title in ("Hello from my terminal", "make test", "make"):
            card = tab.do(
                lambda page, title: (
                    page.locator(done).get_by_role("button", name=title, exact=True).wait_for()
                ),
                title,
            )
            await card
        title = "document.title === 'Relay'"  # nothing runs, nothing failed
        await tab.do(lambda page: page.wait_for_function(title))
        # the page shows the stream now, and still the token, which is shown once
        await tab.shows("Now run a command of your own")
        await tab.do(lambda page: page.click("#guide-done"))
        await tab.shows("one test passed")
        assert tab.complaints == []
