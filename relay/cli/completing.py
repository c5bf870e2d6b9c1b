"""What Tab offers beyond names of commands and options: commands to run, Relays one knows."""

import os

import click
from click.shell_completion import CompletionItem

from relay.client.credentials import NoCredentials, load_credentials

OFFERED = 200  # names; who has typed nothing yet is not helped by thousands


def command_words(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """As the shell itself would: first a program, then files."""
    first = not ctx.params.get(param.name or "")
    found = _programs(begun) if first and begun and "/" not in begun else []
    return [CompletionItem(name) for name in found] or [CompletionItem(begun, type="file")]


def known_relays(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Those of the file of credentials."""
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
