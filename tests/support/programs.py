"""Programs that some tests need and a machine may lack: real servers, browsers, tools."""

import os
import shutil
from collections.abc import Iterable
from typing import NoReturn

import pytest

from tests.support.untried import KERNEL, everything_is_asked_for

SBIN = "/usr/sbin:/sbin"
LACKED: dict[str, str] = {}
"""Why tests of this process were skipped; pytest-trio passes on only that they were."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program(name: str, package: str | None = None, *, also: Iterable[str] = ()) -> str:
    """The path of an installed program; without it the calling test is skipped.

    `also` are other names that it goes by.
    """
    found = (shutil.which(each) or shutil.which(each, path=SBIN) for each in (name, *also))
    path = next(filter(None, found), None)
    if path is None:
        lacking(f"{name} is not installed (Debian's package {package or name})")
    return path


def chromium() -> str:
    """That of a Chromium, or of what is made of it, as people use it."""
    return program(CHROMIUM[0], also=CHROMIUM[1:])


def headless_chromium() -> str:
    """That of a Chromium without the parts for windows, or else of a whole one.

    The same engine opens the same pages for two thirds of the CPU.
    """
    return program("chromium-headless-shell", also=CHROMIUM)


def lacking(what: str) -> NoReturn:
    """End the calling test, which cannot be run here: what it needs is not to be had.

    With RELAY_TEST_ALL set nothing is skipped: it is a failure. CI sets it.
    """
    if everything_is_asked_for():
        pytest.fail(what)
    _skip(what)


def kernel_lacks(what: str) -> NoReturn:
    """Skip the calling test: this kernel, or the container, does not offer what it needs.

    That fails no run, because nothing that could be installed would change it.
    """
    _skip(f"{KERNEL} {what}")


def _skip(why: str) -> NoReturn:
    LACKED[os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]] = why
    pytest.skip(why)
