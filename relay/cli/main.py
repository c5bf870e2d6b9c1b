"""The command line. A command's module is imported when it runs, so that producers start fast."""

import importlib
import importlib.util
import shlex
import shutil
import sys
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import click
from click.shell_completion import CompletionItem

from relay import DISTRIBUTION
from relay.cli.event_loops import allow_event_loops, forbid_event_loops
from relay.cli.exit_codes import INTERRUPTED
from relay.cli.near_words import did_you_mean
from relay.cli.needs_extra import missing_extra
from relay.cli.output import clean_errors, escape_unencodable
from relay.cli.unused_packages import without_unused_packages
from relay.imports import frozen_imports

# httpx would import its command line, with rich and pygments: it is not needed here
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


PROBE_PACKAGES = {"server": "quart"}  # extra: a package that is installed with it
# What other tools call these commands.
OTHER_NAMES = {
    **dict.fromkeys(("watch", "follow", "listen", "subscribe"), "tail"),
    **dict.fromkeys(("ps", "ls", "list", "jobs", "runs"), "tasks"),
    **dict.fromkeys(("logs", "output"), "log"),
    **dict.fromkeys(("kill", "cancel", "abort", "interrupt"), "stop"),
    **dict.fromkeys(("publish", "emit", "post", "push", "event"), "send"),
    **dict.fromkeys(("exec", "wrap", "record"), "run"),
    **dict.fromkeys(("server", "start", "up"), "serve"),
    **dict.fromkeys(("signin", "connect", "auth", "link"), "login"),
    **dict.fromkeys(("signout", "disconnect"), "logout"),
    **dict.fromkeys(("status", "me", "info"), "whoami"),
    **dict.fromkeys(("notify", "notifications", "alerts", "webhooks", "channel"), "channels"),
}


# `run` has the words of a command, and `send` replaces what is not UTF-8, as in a log.
TAKE_ANY_BYTES = ("run", "send")


class CommandSummary(NamedTuple):
    """A command in the list, described without importing it."""

    summary: str
    extra: str = ""  # the extra with the packages that it needs

    @property
    def shown_summary(self) -> str:
        is_missing = self.extra and importlib.util.find_spec(PROBE_PACKAGES[self.extra]) is None
        return f"(needs {DISTRIBUTION}[{self.extra}])" if is_missing else self.summary


class LazyGroup(click.Group):
    """Loads the module of a command when it is used. Some need an extra."""

    summaries: ClassVar[dict[str, CommandSummary]] = {
        "run": CommandSummary("Run a command and publish its output and progress."),
        "send": CommandSummary("Publish events."),
        "ask": CommandSummary("Ask a person, and wait for the answer."),
        "answer": CommandSummary("Answer a program that asks."),
        "serve": CommandSummary("Run a Relay server.", "server"),
        "migrate": CommandSummary("Apply pending database migrations.", "server"),
        "epoch": CommandSummary("Give every stream a new epoch after a restore.", "server"),
        "user": CommandSummary("Create users as the operator.", "server"),
        "login": CommandSummary("Create your stream or connect to it."),
        "logout": CommandSummary("End your session at a Relay."),
        "tail": CommandSummary("Follow your stream."),
        "tasks": CommandSummary("Show your tasks."),
        "log": CommandSummary("Print the log of a task."),
        "stop": CommandSummary("Ask a task to stop."),
        "whoami": CommandSummary("Show your user and your tokens."),
        "token": CommandSummary("Manage your tokens."),
        "channels": CommandSummary("Get notifications by chat, mail, phone or webhook."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.summaries or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        message = f"There is no command {name!r}."
        if question := did_you_mean(name, self.summaries, OTHER_NAMES):
            message += question
        elif shutil.which(name) is not None:
            message += f" To run {name!r} and watch it: relay run -- {shlex.join(args)}"
        raise click.UsageError(message, ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.summaries:
            return None
        extra = self.summaries[cmd_name].extra
        (allow_event_loops if extra else forbid_event_loops)()
        try:
            with without_unused_packages() if extra else nullcontext():
                loaded = _load(f"relay.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if not extra or error.name is None or error.name.startswith("relay"):
                raise
            return _missing(cmd_name, extra, error.name)
        command: click.Command = loaded.command
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with clean_errors():
            if args and args[0] not in TAKE_ANY_BYTES:
                _check_encoding(args)
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with clean_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)  # without a message: the user pressed the key

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.shown_summary) for name, one in self.summaries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.summaries if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=self.summaries[name].shown_summary) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def _check_encoding(args: list[str]) -> None:
    """Refuse a word that JSON and addresses cannot hold. Raises UsageError."""
    for word in args:
        try:
            word.encode()
        except UnicodeEncodeError:  # Python has its bytes as surrogates
            raise click.UsageError(f"{word!r} is not UTF-8") from None


def _load(module: str) -> Any:
    """Import a module, once."""
    if module not in sys.modules:
        with frozen_imports():
            importlib.import_module(module)
    return sys.modules[module]


def _missing(name: str, extra: str, module: str) -> click.Command:
    """A command that fails and names the extra with the packages that it needs."""

    def explain() -> None:
        raise missing_extra(f"relay {name}", extra, module)

    return click.Command(
        name,
        callback=explain,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION, prog_name="relay")
def main() -> None:
    """Watch long-running work live: events from your programs, on a private stream.

    \b
    Try it:
      relay serve                   a server with its own database, on 127.0.0.1:8000
      relay serve --demo            the same, with a demo that publishes events
      relay login                   create your stream there
      relay run -- make test        run a command and publish its output and progress
      relay send log --message hi   publish an event
      relay tail                    follow your stream in the terminal
      relay tasks                   what runs, and what has ended
      relay log "make test"         the output of a task
      relay stop "make test"        stop it, if it runs with --stoppable
    """
    escape_unencodable()


if __name__ == "__main__":
    main()
