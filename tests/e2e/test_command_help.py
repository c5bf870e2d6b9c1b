"""Every command shows its use in an example, and an unknown one is a usage error."""

import re
from pathlib import Path

import click
import pytest

from relay.cli.main import main
from tests.support.commands import relay


def commands(group: click.Group, path: str = "relay") -> dict[str, click.Command]:
    """Every command there is, by how it is called."""
    context = click.Context(group)
    found: dict[str, click.Command] = {path: group}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found |= (
            commands(command, f"{path} {name}")
            if isinstance(command, click.Group)
            else {f"{path} {name}": command}
        )
    return found


COMMANDS = commands(main)


def test_the_commands_are_the_documented_ones() -> None:
    assert {"relay serve", "relay migrate", "relay user create", "relay epoch"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "called",
    [name for name, one in COMMANDS.items() if name == "relay" or not hasattr(one, "commands")],
)
def test_every_help_text_shows_the_command_in_an_example(called: str) -> None:
    command = COMMANDS[called]
    text = command.get_help(click.Context(command, info_name=called))
    examples = re.findall(rf"^ +(?:\w+=\S+ )*{called}\b.*$", text.partition("\n")[2], re.MULTILINE)
    assert examples, text


async def test_help_and_version_answer_and_an_unknown_command_is_a_usage_error(
    tmp_path: Path,
) -> None:
    helped = await relay(tmp_path, "--help")
    assert (helped.returncode, b"relay serve --demo" in helped.stdout) == (0, True)
    version = await relay(tmp_path, "--version")
    assert re.fullmatch(rb"relay, version \d+\.\d+\.\d+\n", version.stdout)
    unknown = await relay(tmp_path, "sevre")
    assert (unknown.returncode, b"sevre" in unknown.stderr) == (2, True)
