"""Shell completion beyond commands and options: programs to run, and known Relays."""

import os

import click
from click.shell_completion import CompletionItem

from relay.client.credentials import NoCredentials, load_credentials

OFFERED = 200  # names at most: a list of thousands helps no one


def command_words(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete like the shell: the first word as a program, the others as files."""
    first = not ctx.params.get(param.name or "")
    found = _programs(begun) if first and begun and "/" not in begun else []
    return [CompletionItem(name) for name in found] or [CompletionItem(begun, type="file")]


def known_relays(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The addresses in the credentials file."""
    try:
        kept = load_credentials()
    except NoCredentials:
        return []
    return [CompletionItem(url) for url in kept.relays if url.startswith(begun)]


def _programs(begun: str) -> list[str]:
    found = set()
    for folder in os.get_exec_path():
        try:
            with os.scandir(folder) as entries:
                found |= {one.name for one in entries if one.name.startswith(begun)}
        except OSError:
            continue
    return sorted(found)[:OFFERED]
