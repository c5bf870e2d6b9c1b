"""The command line. Each command imports what it needs when it runs: producers stay light."""

import importlib
import importlib.util
import sys
from typing import Any, ClassVar, NamedTuple

import click
from click.shell_completion import CompletionItem

from relay.cli.exits import INTERRUPTED

# httpx brings a command line of its own, and with it rich and pygments: nobody waits for them here
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

PROOF = {"server": "quart"}  # extras, and a package that is there when they are


class Listed(NamedTuple):
    """A command in the list: known without importing it."""

    does: str
    extra: str = ""  # it needs the packages of this one

    @property
    def said(self) -> str:
        lacking = self.extra and importlib.util.find_spec(PROOF[self.extra]) is None
        return f"(needs relay[{self.extra}])" if lacking else self.does


class Commands(click.Group):
    """Commands in modules of their own, loaded when named; some need an extra, others none."""

    listed: ClassVar[dict[str, Listed]] = {
        "run": Listed("Run a command and show how it goes."),
        "send": Listed("Publish events."),
        "serve": Listed("Serve Relay.", "server"),
        "migrate": Listed("Apply pending migrations.", "server"),
        "epoch": Listed("Mark every stream as begun anew after a restore.", "server"),
        "user": Listed("Users made by the operator.", "server"),
        "login": Listed("Become somebody at a Relay."),
        "logout": Listed("End your session at a Relay."),
        "tail": Listed("Follow your stream."),
        "whoami": Listed("Show who you are at a Relay."),
        "token": Listed("Hook tokens: what producers publish with."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.listed:
            return None
        extra = self.listed[cmd_name].extra
        try:
            loaded = importlib.import_module(f"relay.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if not extra or error.name is None or error.name.startswith("relay"):
                raise
            return _missing(cmd_name, extra, error.name)
        command: click.Command = loaded.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)  # without a word: who pressed the key knows

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without loading a server to tell what it does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.said) for name, one in self.listed.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.listed if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=self.listed[name].said) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def _missing(name: str, extra: str, module: str) -> click.Command:
    """In place of a command whose packages are not installed: it is listed, and says so."""

    def explain() -> None:
        raise click.ClickException(
            f"`relay {name}` needs the packages of the extra `{extra}` ({module} is missing):"
            f" install relay[{extra}]"
        )

    return click.Command(
        name,
        callback=explain,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relay", prog_name="relay")
def main() -> None:
    """Watch long-running work live: webhook events in, one private stream per user out.

    \b
    Try it:
      relay serve                   a server with its own database, on 127.0.0.1:8000
      relay serve --demo            the same, with something to look at
      relay login                   become somebody there, and see it on a second device
      relay run -- make test        a command, its output and progress on your stream
      relay send log --message hi   an event of your own
      relay tail                    follow your stream, here in the terminal
    """


if __name__ == "__main__":
    main()
