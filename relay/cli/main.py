"""The command line. Each command imports what it needs when it runs: producers stay light."""

import importlib
from typing import ClassVar

import click

from relay import __version__


class Commands(click.Group):
    """Commands in modules of their own, loaded when named; some need an extra, others none."""

    modules: ClassVar[dict[str, tuple[str, str]]] = {
        "run": ("relay.cli.run", ""),
        "send": ("relay.cli.send", ""),
        "serve": ("relay.cli.serve", "server"),
        "migrate": ("relay.cli.migrate", "server"),
        "epoch": ("relay.cli.epoch", "server"),
        "user": ("relay.cli.user", "server"),
        "login": ("relay.cli.login", ""),
        "logout": ("relay.cli.logout", ""),
        "tail": ("relay.cli.tail", ""),
        "whoami": ("relay.cli.whoami", ""),
        "token": ("relay.cli.token", ""),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        module, extra = self.modules[cmd_name]
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not extra or error.name is None or error.name.startswith("relay"):
                raise
            return _missing(cmd_name, extra, error.name)
        command: click.Command = loaded.command
        return command


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
        short_help=f"(needs relay[{extra}])",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relay")
def main() -> None:
    """Watch long-running work live: webhook events in, one private stream per user out.

    \b
    Try it:
      relay serve                   a server with its own database, on 127.0.0.1:8000
      relay serve --demo            the same, with something to look at
      relay migrate --status        what the database knows of this version
      relay run -- make test        a command whose output and progress others can watch
      relay send log --message hi   an event, where RELAY_URL and RELAY_TOKEN say
      relay tail                    follow your stream, here in the terminal
      relay login                   become somebody there, and see it on a second device
    """


if __name__ == "__main__":
    main()
