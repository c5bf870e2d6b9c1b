"""A shell in a terminal, and the pipelines that it runs."""

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.programs import program
from tests.support.stand_in import TOKEN, StandIn
from tests.support.terminals import Person, terminal

PROMPT = b"ready> "


@asynccontextmanager
async def shell(stand_in: StandIn) -> AsyncIterator[Person]:
    """Bash as a person has it, at its first prompt. What runs in it finds Relay."""
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN, PS1=PROMPT.decode(), TERM="dumb")
    bash = [program("bash"), "--norc", "--noediting", "-i"]
    async with terminal(bash, env) as person:
        await person.sees(PROMPT)
        yield person


def relay_run(*options: str) -> str:
    return shlex.join([*RELAY, "run", *options, "--"])


class Job:
    """The pipeline that the shell runs, with the command or `relay run` first."""

    def __init__(self, person: Person) -> None:
        children = {child.pid for child in psutil.Process(person.process.pid).children()}
        (self.group,) = {os.getpgid(child) for child in children} & children
        self.first = psutil.Process(self.group)  # it leads the group

    def leader(self) -> psutil.Process:
        """The session leader of `relay run`: its child that has a child, the command.

        Others come and go: where trio is imported, it runs `ldconfig`.
        """
        for child in self.first.children():
            with suppress(psutil.NoSuchProcess):
                if child.children():
                    return child
        raise AssertionError("there is no session leader")

    def first_is_stopped(self) -> bool:
        return bool(self.first.status() == psutil.STATUS_STOPPED)

    def is_stopped(self) -> bool:
        """Whether all of it is."""
        parent = self.first.parent()
        assert parent is not None
        return {each.status() for each in parent.children()} == {psutil.STATUS_STOPPED}


async def prompted(person: Person, line: str) -> bytes:
    """What the shell prints for a line, until its next prompt."""
    person.seen = b""
    await person.types(line.encode() + b"\r")
    await person.sees(rb"\n(.|\n)*" + PROMPT)
    return person.seen.partition(b"\n")[2]


async def starts(person: Person, line: str, sign: bytes = b"") -> None:
    """Type a line, and wait until this is shown after it."""
    person.seen = b""
    await person.types(line.encode() + b"\r")
    await person.sees(rb"\n(.|\n)*" + sign)


async def started(person: Person, line: str, sign: bytes) -> Job:
    await starts(person, line, sign)
    return Job(person)


async def stop_key(person: Person) -> None:
    await person.types(b"\x1a")
    await person.sees(rb"Stopped(.|\n)*" + PROMPT)


async def listed_as_stopped(person: Person) -> bytes:
    """What the shell says of the job, once it knows that all of it is stopped."""
    await eventually(Job(person).is_stopped)
    with trio.fail_after(PATIENCE):
        while b"Running" in (listed := await prompted(person, "jobs -l")):  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    return listed
