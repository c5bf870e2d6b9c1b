"""Lists on the command line: some of the words that an option knows, with commas between."""

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from relay.cli.near_words import did_you_mean


class WordList(click.ParamType[tuple[str, ...]]):
    """A list of known words. The shell completes the first one."""

    name = "list"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        words = tuple(word.strip() for word in str(value).split(","))
        for word in words:
            if word not in self._known:
                question = did_you_mean(word, self._known)
                self.fail(f"{word!r} is not of {', '.join(self._known)}.{question}", param, ctx)
        return words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(word) for word in self._known if word.startswith(incomplete)]
