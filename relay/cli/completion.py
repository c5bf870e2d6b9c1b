"""Shell completion beyond commands and options: programs to run, known Relays, and tasks."""

import os

import click
from click.shell_completion import CompletionItem

from relay.client.credentials import NoCredentials, find_any_credentials, load_credentials
from relay.client.plain_text import clean

MAX_TASKS = 100  # the latest ones
TASKS_WITHIN_SECONDS = 2.0  # a person waits for the answer
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


def known_tasks(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the latest tasks, with their titles. None if Relay does not answer at once."""
    from relay.client.api_client import ApiClient, ApiError  # httpx: not for other completions
    from relay.client.task_query import TaskFilter, read_pages

    try:
        found = find_any_credentials(ctx.params.get("url"), ctx.params.get("token"))
        with ApiClient(found.url, found.token, timeout=TASKS_WITHIN_SECONDS) as api:
            page = next(read_pages(api, TaskFilter(), MAX_TASKS))
    except (NoCredentials, ApiError):
        return []
    return [
        CompletionItem(task.task_id, help=clean(task.title or ""))
        for task in page.tasks
        if task.task_id.startswith(incomplete)
    ]


def _programs(incomplete: str) -> list[str]:
    found = set()
    for folder in os.get_exec_path():
        try:
            with os.scandir(folder) as entries:
                found |= {entry.name for entry in entries if entry.name.startswith(incomplete)}
        except OSError:
            continue
    return sorted(found)[:MAX_PROGRAMS]
