"""`relay serve` as it is started by hand, and the curl commands that it prints."""

import shlex

import httpx

from tests.support.commands import RELAY, Command

SERVE = (*RELAY, "serve", "--bind", "127.0.0.1:0")


def as_request(curl: str) -> httpx.Request:
    """The request that a printed curl command makes; fails on what it does not know."""
    words = iter(shlex.split(curl)[1:])
    method, url, headers = "GET", "", {}
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "--unix-socket":
            next(words)
        elif word != "-N":
            assert word.startswith("http"), curl
            url = word
    return httpx.Request(method, url, headers=headers)


async def printed_curl(command: Command) -> httpx.Request:
    return as_request((await command.says(r"\n +(curl .*)\n"))[1])
