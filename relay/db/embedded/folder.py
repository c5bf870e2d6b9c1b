"""Relay's data folder: its lock, its secrets, its log files and the folder of the socket."""

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

PORT = 5432  # not a TCP port: only the suffix of the socket's name
SOCKET_NAMES = (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
SHORT_FOLDER = "/tmp"  # short enough for a socket's path
SOCKET_FOLDER_NAME = re.compile(r"relay-[0-9a-f]{16}")


class FolderInUse(EmbeddedError):
    """Another Relay uses the data folder."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[Path]:
    """Lock a data folder for the length of the block; yields its absolute path.

    The folder is created (mode 0700) if there is none. The kernel releases the lock when the
    process ends, however that happens, and programs started here do not inherit it. Raises
    EmbeddedError if the folder cannot be used or another Relay has locked it.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Not truncated before it is locked: it contains the process id of the holder.
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
    """Write a file that only this user can read, and sync it to disk."""
    path.unlink(missing_ok=True)  # an existing file may have a wider mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        print(secret, file=file, flush=True)
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_new_log(path: Path) -> IO[bytes]:
    """Open an empty log file for appending; the previous one is renamed to `.1`."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")


@contextmanager
def socket_folder(folder: Path, cluster: Path, account: Account, secret: str) -> Iterator[Path]:
    """Provide a private folder for the socket: the cluster's own, if a socket fits there.

    Otherwise it is one in the system's temporary folder, or in /tmp if that path is too long, too.
    Its path is written to `folder/socket` before it is created, so that the next run can remove it
    if this one cannot. No server may be running on the cluster.
    """
    note = folder / "socket"
    _remove_socket_folder(note)
    if _can_hold_socket(cluster):
        try:
            yield cluster
        finally:
            _remove_socket(cluster)
        return
    # The same at every start, so that a restarted server is found at the same path, and
    # unguessable, so that no other user can create it first.
    name = hashlib.sha256(f"{folder} {secret}".encode()).hexdigest()[:16]
    places = [Path(path, f"relay-{name}") for path in (tempfile.gettempdir(), SHORT_FOLDER)]
    try:
        for outside in places:
            write_secret(note, str(outside))
            if _make_socket_folder(outside):
                break
            _remove_socket_folder(note)
        else:
            tried = ", ".join(map(str, dict.fromkeys((cluster, *places))))
            raise EmbeddedError(
                f"none of {tried} can hold a socket, their paths may be too long: "
                "choose a shorter --data-dir or TMPDIR"
            )
        account.take_ownership(outside)
        yield outside
    finally:
        _remove_socket_folder(note)


def socket_in_use(folder: Path, cluster: Path) -> Path:
    """The folder of a running server's socket, as `socket_folder` yielded it to its Relay."""
    note = folder / "socket"
    return Path(note.read_text().strip()) if note.exists() else cluster.resolve()


def _make_socket_folder(directory: Path) -> bool:
    """Create a private folder; returns whether a socket can be created in it."""
    try:
        directory.mkdir(mode=0o700)
    except OSError:
        return False
    return _can_hold_socket(directory)


def _can_hold_socket(directory: Path) -> bool:
    """Whether a socket can be created in this folder, found out by creating one.

    Its path may have 107 bytes, or 103 on some systems, and some file systems have no sockets.
    """
    if "," in str(directory):  # libpq would parse it as a list of hosts
        return False
    _remove_socket(directory)
    path = directory / SOCKET_NAMES[0]
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fsencode(path))
        except OSError:
            return False
    _remove_socket(directory)
    return True


def _remove_socket(directory: Path) -> None:
    """Remove the socket and its lock file, which a killed Postgres leaves behind.

    Postgres would refuse to start if any live process has the process id in that file.
    """
    for name in SOCKET_NAMES:
        (directory / name).unlink(missing_ok=True)


def _remove_socket_folder(note: Path) -> None:
    """Remove the socket folder named in a note file, and nothing that Relay did not create."""
    if not note.exists():
        return
    outside = Path(note.read_text().strip())
    if SOCKET_FOLDER_NAME.fullmatch(outside.name) and not outside.is_symlink():
        _remove_socket(outside)
        with suppress(OSError):  # removed already, or not empty: then others have used it
            outside.rmdir()
    note.unlink()
