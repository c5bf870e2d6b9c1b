"""Shell completion beyond commands and options: programs to run, and known Relays."""

import os

import click
from click.shell_completion import CompletionItem

from relay.client.credentials import NoCredentials, load_credentials

MAX_PROGRAMS = 200  # names at most: a list of thousands helps no one


def command_words(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete like the shell: the first word as a program, the others as files."""
    first = not ctx.params.get(param.name or "")
    found = _programs(incomplete) if first and incomplete and "/" not in incomplete else []
    return [CompletionItem(name) for name in found] or [CompletionItem(incomplete, type="file")]


def known_relays(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The addresses in the credentials file."""
    try:
        stored = load_credentials()
    except NoCredentials:
        return []
    return [CompletionItem(url) for url in stored.relays if url.startswith(incomplete)]


def _programs(incomplete: str) -> list[str]:
    found = set()
    for folder in os.get_exec_path():
        try:
            with os.scandir(folder) as entries:
                found |= {entry.name for entry in entries if entry.name.startswith(incomplete)}
        except OSError:
            continue
    return sorted(found)[:MAX_PROGRAMS]
