"""The known state that every test starts in, however the run was started.

`nohup` leaves SIGHUP ignored and a shell's `&` SIGINT; both are inherited through exec, so that a
command under test would be deaf to them. The same holds for blocked signals, the umask, the time
zone, the locale, a home with settings of Relay, and whatever else stands in an environment.
Tests that are about one of these set it themselves.
"""

import os
import re
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KEPT = (
    *("PATH", "LD_LIBRARY_PATH", "PYENV_ROOT"),  # where programs are
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR", "SSL_CERT_FILE"),  # whose certificates count
    "RELAY_TEST_ALL",  # how this run was asked for
)
"""What of the outer environment reaches a test, beside pytest's own."""

GIVEN = {"LC_ALL": "C.UTF-8", "SHELL": "/bin/sh", "TERM": "xterm-256color", "TZ": "UTC"}

PLAIN = re.compile(r"[a-zA-Z0-9_./-]{1,40}")
"""A temporary folder that leaves room for a socket's path and needs no quotes in any program."""

STOPS_A_RUN = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores these two, and not for its children


def plain_temporary_folder() -> None:
    """Use /tmp where TMPDIR is so long or so odd that tests would be about it."""
    if not PLAIN.fullmatch(tempfile.gettempdir()):
        os.environ["TMPDIR"] = "/tmp"
        tempfile.tempdir = None  # it is asked for anew


@contextmanager
def known_start(home: Path) -> Iterator[None]:
    """The known state for the length of the block; `home` is an empty folder.

    Commands under test have their temporary files there, too: a pytest among them would else tidy
    up after this one and others, for minutes.
    """
    (home / "tmp").mkdir()
    # npm alone asks a registry, and a person's settings say which
    npm = {"npm_config_userconfig": str(Path("~/.npmrc").expanduser())}
    folders = {"HOME": str(home), "TMPDIR": str(home / "tmp")}
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(KEPT):
            if not name.startswith("PYTEST_"):
                patch.delenv(name)
        for name, value in (GIVEN | npm | folders).items():
            patch.setenv(name, value)
        time.tzset()
        os.umask(0o022)
        _hear_signals()
        _raise_descriptors()
        yield
    time.tzset()


def _hear_signals() -> None:
    """Commands started from here on hear every signal.

    What would end this run and is ignored gets a handler that does nothing: it is not inherited
    through exec, and the run goes on ignoring it.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - set(OF_PYTHON):
        if signal.getsignal(number) is signal.SIG_IGN:
            ends_us = number in STOPS_A_RUN
            signal.signal(number, (lambda *_: None) if ends_us else signal.SIG_DFL)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Programs started in the block ignore what would end a run: this process ends them.

    For those that would hear it by themselves, in this one's process group, and leave the tests
    that use them alone. Call it on the main thread.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS_A_RUN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_descriptors() -> None:
    """Let a test open as many files as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
