"""The wheel of this Relay, made from its installed package, for `pip install` without an index.

It holds what the wheel of a release holds, file by file, whether Relay runs from a checkout or from
an installed wheel. The same files make the same bytes: times are fixed and the order is sorted.
"""

import csv
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import relay
from relay import DISTRIBUTION, __version__
from relay.config.resources import packaged
from relay.errors import Unavailable

# What the package is made of. Anything else in a checkout's folder (an editor's copies, caches,
# secrets) is not sent to strangers.
_SUFFIXES = frozenset(
    {".css", ".html", ".js", ".png", ".py", ".sql", ".svg", ".toml", ".ts", ".typed"}
    | {".webmanifest"}
)
_BESIDE = ("sql", "hypercorn.toml")  # at the top of a checkout, inside an installed package
_COPIED = ("METADATA", "entry_points.txt")  # of the installed metadata
_WHEEL = """\
Wheel-Version: 1.0
Generator: relay
Root-Is-Purelib: true
Tag: py3-none-any
"""
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP file can hold
_MODE = 0o100644 << 16  # a regular file, as Unix writes it into a ZIP file


def _prefix() -> str:
    """The name and the version as a wheel's file name and its metadata's folder spell them."""
    return f"{re.sub('[-_.]+', '_', DISTRIBUTION)}-{__version__}"


def wheel_name() -> str:
    """The wheel's file name. pip reads the name, the version and the platforms from it."""
    return f"{_prefix()}-py3-none-any.whl"


def make_wheel() -> bytes:
    """The wheel. This reads some 400 files and takes a tenth of a second.

    Raises Unavailable if an upgrade has replaced them since this process started: its name would
    be that of another version.
    """
    folder = f"{_prefix()}.dist-info"
    try:
        files = [
            *sorted(_package_files()),
            *((f"{folder}/{name}", data) for name, data in _metadata(distribution(DISTRIBUTION))),
        ]
        still_there = version(DISTRIBUTION) == __version__
    except (FileNotFoundError, PackageNotFoundError):
        still_there = False
    if not still_there:
        raise Unavailable("Relay was upgraded. Try again when it has restarted.")
    record = f"{folder}/RECORD"
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for name, data in [*files, (record, _record(files, record))]:
            info = ZipInfo(name, _TIME)
            info.create_system = 3  # Unix: the mode counts
            info.external_attr = _MODE
            archive.writestr(info, data, ZIP_DEFLATED)
    return made.getvalue()


def _package_files() -> Iterator[tuple[str, bytes]]:
    """The package's files by their paths in the wheel."""
    package = Path(relay.__file__).parent
    roots = {"relay": package, **{f"relay/{name}": packaged(name) for name in _BESIDE}}
    found: dict[str, Path] = {}
    for prefix, root in roots.items():
        for path in root.rglob("*") if root.is_dir() else [root]:
            inside = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.suffix in _SUFFIXES and not hidden and path.is_file():
                found["/".join((prefix, *inside.parts))] = path
    for name, path in found.items():
        yield name, path.read_bytes()


def _metadata(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    """The files of the metadata's folder, but for RECORD."""
    for name in _COPIED:
        yield name, (installed.read_text(name) or "").encode()
    yield "WHEEL", _WHEEL.encode()
    for file in sorted(installed.files or []):
        if file.parts[0].endswith(".dist-info") and file.parts[1] == "licenses":
            yield "/".join(file.parts[1:]), file.read_binary()


def _record(files: list[tuple[str, bytes]], own_name: str) -> bytes:
    """RECORD: each file with its digest and its size, and RECORD itself with neither."""
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    for name, data in files:
        digest = urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()
        lines.writerow((name, f"sha256={digest}", len(data)))
    lines.writerow((own_name, "", ""))
    return text.getvalue().encode()
