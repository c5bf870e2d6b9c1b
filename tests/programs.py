"""Programs that some tests need and a machine may lack: real servers, browsers, tools."""

import os
import shutil

import pytest


def program(name: str, package: str | None = None) -> str:
    """The path of an installed program; without it the calling test is skipped.

    With RELAY_TEST_ALL set nothing is skipped: a lacking program is a failure. CI sets it.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        lack = f"{name} is not installed (Debian's package {package or name})"
        if os.environ.get("RELAY_TEST_ALL"):
            pytest.fail(lack)
        pytest.skip(lack)
    return path
