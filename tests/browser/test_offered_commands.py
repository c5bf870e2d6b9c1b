"""The commands that the page offers work when they are pasted into a shell."""

import sys
from pathlib import Path

from relay.web.own_wheel import wheel_name
from tests.support.browser.chromium import Chromium
from tests.support.browser.visits import first_visit, hook_of, press, say, user_of
from tests.support.commands import environment, run_command, running
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
        login, install, export, send, hello, run, without = await code
        assert login.startswith(f"relay login '{relay.url}/#link=")
        assert install == f"pip install {relay.url}/install/{wheel_name()}"
        assert run == "relay run -- make test"

        # with `relay`: the terminal and the page watch one stream
        script = "\n".join([INSTALLED, "set -e", login, send, run, "relay whoami"])
        ended = await run_command([bash, "-c", script], tmp_path, environment(**state))
        assert ended.returncode == 0, ended.stderr.decode()
        # the command's own output is untouched
        assert b"one test passed\n" in ended.stdout.replace(b"\r\n", b"\n")
        assert (await user_of(relay, profile)).encode() in ended.stdout

        # without it
        script = "\n".join(["set -e", export, hello, without])
        ended = await run_command([bash, "-c", script], tmp_path, environment(**state))
        assert ended.returncode == 0, ended.stderr.decode()
        assert ended.stdout.endswith(b"all is made\n")

        done = "li[data-state=succeeded]"
        for title in ("Hello from my terminal", "make test", "make"):
            card = tab.do(
                lambda page, title: (
                    page.locator(done).get_by_role("button", name=title, exact=True).wait_for()
                ),
                title,
            )
            await card
        await tab.eventually("document.title === 'Relay'")  # nothing runs, nothing failed
        # the page shows the stream now, and still the token, which is shown once
        await tab.shows("Now run a command of your own")
        ticked = tab.do(lambda page: page.locator("#guide .step.done h3").all_text_contents())
        assert [title.partition(" (")[0] for title in await ticked] == [
            "Connect this terminal",
            "Send a first event",
            "Run a command of your own",
        ]
        await tab.do(lambda page: page.click("#guide-done"))
        await tab.shows("one test passed")
        assert tab.complaints == []


async def test_a_new_link_replaces_the_one_that_is_shown(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await press(tab, "Create my first token")
        await tab.shows("This token is shown once.")
        line = "document.querySelector('#first-lines pre').textContent"
        first = await tab.run(line)
        await press(tab, "New link")
        await tab.eventually(f"(it) => {line} !== it", first)
        assert (await tab.run(line)).startswith(f"relay login '{relay.url}/#link=")
        assert await tab.run("document.activeElement.textContent") == "New link"
        assert tab.complaints == []


async def test_a_token_that_can_only_watch_is_shown_with_commands_that_watch(
    relay: Relay, chromium: Chromium, tmp_path: Path
) -> None:
    bash = program("bash")
    state = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await say(relay, await hook_of(relay, profile), "something to watch")
        await press(tab, "Tokens")
        await tab.do(lambda page: page.get_by_role("textbox", name="Name").fill("display"))
        await tab.do(lambda page: page.locator("select[name=scopes]").select_option("watch"))
        await press(tab, "Create token")
        await tab.shows("Anyone who has it can watch your stream")
        export, install, tail = await tab.do(
            lambda page: page.locator("#tokens pre").all_text_contents()
        )
        assert (install.split()[:2], tail) == (["pip", "install"], "relay tail")
        watch = tail.replace("relay", f'exec "{sys.executable}" -m relay.cli.main', 1)
        async with running(
            [bash, "-c", f"{export}\n{watch}"], tmp_path, environment(**state)
        ) as watching:
            await watching.says("something to watch")
