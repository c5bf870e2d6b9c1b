"""Relay's data folder: held by one Relay, its secrets private, its log that of two runs."""

import fcntl
import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .accounts import Account
from .errors import EmbeddedError

PORT = 5432  # no port at all: the suffix of the socket's name
SOCKET_NAMES = (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
SHORTEST = "/tmp"  # where a socket's path surely fits
AWAY = re.compile(r"relay-[0-9a-f]{16}")


class FolderInUse(EmbeddedError):
    """Another Relay holds the data folder."""


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Hold a data folder for this process, made (0700) if absent; yields its absolute path.

    Raises EmbeddedError if it cannot be used or another Relay holds it. The lock is the kernel's:
    it goes with the process however that ends, and no program started here inherits it.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Not truncated before it is ours: it names the holder.
        file = os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except FileNotFoundError:
        raise EmbeddedError(f"data folder {folder}: its parent folder does not exist") from None
    except (FileExistsError, NotADirectoryError):
        raise EmbeddedError(f"data folder {folder} is not a directory") from None
    except OSError as error:
        raise EmbeddedError(f"data folder {folder} is not writable: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            os.write(file.fileno(), f"{os.getpid()}\n".encode())
        except BlockingIOError:
            holder = file.read().strip() or "unknown"
            raise FolderInUse(
                f"data folder {folder} is in use by another Relay (process {holder})"
            ) from None
        except OSError as error:
            raise EmbeddedError(
                f"data folder {folder} cannot be locked: {error.strerror}"
            ) from None
        yield folder


def write_secret(path: Path, secret: str) -> None:
    """Write a file that only this user can read, on disk when this returns."""
    path.unlink(missing_ok=True)  # never into a file whose mode somebody widened
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        print(secret, file=file, flush=True)
        os.fsync(file.fileno())


def fresh_log(path: Path) -> IO[bytes]:
    """Open an empty log to append to; the one of the run before is kept beside it."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")


@contextmanager
def socket_folder(folder: Path, cluster: Path, account: Account, secret: str) -> Iterator[Path]:
    """The private directory of the socket: the cluster's own, if a socket can be made there.

    Else one in the system's folder for temporary files, or in /tmp where that one's path is too
    long. It is removed in the end, or by the next run: `folder/socket` says where it is, before it
    is made. Nothing may run on the cluster.
    """
    note = folder / "socket"
    _remove_away(note)
    if _takes_socket(cluster):
        try:
            yield cluster
        finally:
            _clear(cluster)
        return
    # the same at every start, so that those who were told of it find a restarted server, and
    # unguessable, so that nobody else can make it first
    name = hashlib.sha256(f"{folder} {secret}".encode()).hexdigest()[:16]
    places = [Path(place, f"relay-{name}") for place in (tempfile.gettempdir(), SHORTEST)]
    try:
        for away in places:
            write_secret(note, str(away))
            if _makes_and_takes_socket(away):
                break
            _remove_away(note)
        else:
            tried = ", ".join(map(str, dict.fromkeys((cluster, *places))))
            raise EmbeddedError(
                f"none of {tried} can hold a socket, their paths may be too long: "
                "choose a shorter --data-dir or TMPDIR"
            )
        account.own(away)
        yield away
    finally:
        _remove_away(note)


def socket_in_use(folder: Path, cluster: Path) -> Path:
    """Where the socket of a running server is: what `socket_folder` yielded to its Relay."""
    note = folder / "socket"
    return Path(note.read_text().strip()) if note.exists() else cluster.resolve()


def _makes_and_takes_socket(directory: Path) -> bool:
    """Make a folder of this user's own; whether a socket can be made in it."""
    try:
        directory.mkdir(mode=0o700)
    except OSError:
        return False
    return _takes_socket(directory)


def _takes_socket(directory: Path) -> bool:
    """Whether a socket can be made here, found out by making one.

    Its path may have 107 bytes, or 103 on some systems, and not every file system knows sockets.
    """
    if "," in str(directory):  # libpq would read a list of hosts
        return False
    _clear(directory)
    place = directory / SOCKET_NAMES[0]
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fsencode(place))
        except OSError:
            return False
    _clear(directory)
    return True


def _clear(directory: Path) -> None:
    """Remove the socket and its lock file, which a killed Postgres leaves behind.

    Postgres would take any live process with the number in that file for its owner.
    """
    for name in SOCKET_NAMES:
        (directory / name).unlink(missing_ok=True)


def _remove_away(note: Path) -> None:
    """Remove the socket directory that a note names; nothing but what we put there."""
    if not note.exists():
        return
    away = Path(note.read_text().strip())
    if AWAY.fullmatch(away.name) and not away.is_symlink():
        _clear(away)
        with suppress(OSError):  # gone, or not empty: then it is not only ours
            away.rmdir()
    note.unlink()
