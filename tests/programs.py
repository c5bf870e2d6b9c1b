"""Programs that some tests need and a machine may lack: real servers, browsers, tools."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str | None = None) -> str:
    """The path of an installed program; without it the calling test is skipped."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        lacking(f"{name} is not installed (Debian's package {package or name})")
    return path


def lacking(what: str) -> NoReturn:
    """End the calling test, which cannot be run here: what it needs is not to be had.

    With RELAY_TEST_ALL set nothing is skipped: it is a failure. CI sets it.
    """
    if os.environ.get("RELAY_TEST_ALL"):
        pytest.fail(what)
    pytest.skip(what)
