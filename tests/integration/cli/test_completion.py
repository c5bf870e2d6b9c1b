"""Tab completion in real shells, set up as the reference says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli.main import main
from relay.client.credentials import CredentialsFile, RelayTokens, save_credentials
from tests.support.commands import environment
from tests.support.patience import PATIENCE
from tests.support.programs import program
from tests.support.terminals import terminal

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
SHELLS = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config"]}


def set_up(shell: str) -> str:
    """The line that the reference has for this shell."""
    (line,) = re.findall(rf"^\| {shell} \|.*\| `(.*)` \|$", REFERENCE.read_text(), re.MULTILINE)
    return str(line).replace("\\|", "|")


def shell_environment(**settings: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment(PATH=path, TERM="dumb", PS1="> ", **settings)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
async def test_tab_completes_commands_options_and_the_command_to_run(
    shell: str, home: Path
) -> None:
    (home / "a-file.txt").touch()
    command = [program(shell), *SHELLS[shell]]
    before = "autoload -U compinit; compinit -D; " if shell == "zsh" else ""
    async with terminal(command, shell_environment(ZDOTDIR=str(home)), cwd=home) as person:
        await person.types(f"{before}{set_up(shell)}; echo set' 'up\r".encode())
        await person.sees(rb"set up")
        for typed, completed in (
            (b"relay tai", rb"relay tail "),
            (b"relay tasks --state wa", rb"relay tasks --state waiting "),
            (b"relay channels add ntfy --on los", rb"relay channels add ntfy --on lost "),
            (b"relay send task_st", rb"relay send task_started "),
            (b"relay tail --las", rb"relay tail --last "),
            (b"relay run -- base6", rb"relay run -- base64 "),
            (b"relay run -- cat a-f", rb"relay run -- cat a-file.txt"),
        ):
            await person.types(typed + b"\t")
            await person.sees(completed)
            await person.types(b"\x15")  # the line is forgotten
        await person.types(b"exit\r")
        await person.ended()


def test_fish_offers_the_same_with_what_each_is_for(home: Path) -> None:
    save_credentials(CredentialsFile(None, {"https://relay.example": RelayTokens()}))
    asked = ["relay t", "relay tail --url ", "relay run -- cat a-f"]
    script = "; ".join([set_up("fish"), *(f"complete -C '{line}'" for line in asked)])
    (home / "a-file.txt").touch()
    done = subprocess.run(
        [program("fish"), *SHELLS["fish"], "-c", script],
        env=shell_environment(),
        cwd=home,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    output = done.stdout.decode().splitlines()
    assert output == [
        "tail\tFollow your stream.",
        "tasks\tShow your tasks.",
        "token\tManage your tokens.",
        "https://relay.example",
        "a-file.txt",
    ]


def test_completion_loads_no_server_packages() -> None:
    code = (
        "import sys; from relay.cli.main import main; main(['--help'], standalone_mode=False);"
        "heavy = {'quart', 'asyncpg', 'trio', 'httpx', 'rich'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^  (\w+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE) == list(
        main.summaries
    )
