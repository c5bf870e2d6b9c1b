"""`relay run` as a job of an interactive shell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.commands import RELAY
from tests.support.pipelines import PROMPT
from tests.support.programs import program
from tests.support.terminals import Person, terminal

RUN = " ".join([*RELAY, "run", "--wait", "3600", "--"])  # all is delivered in the end


@asynccontextmanager
async def shell(env: dict[str, str], name: str = "bash") -> AsyncIterator[Person]:
    manners = {"bash": ["--norc", "--noediting"], "zsh": ["-f", "+Z"], "dash": []}[name]
    async with terminal([program(name), *manners, "-i"], env) as person:
        await person.sees(PROMPT)
        yield person
