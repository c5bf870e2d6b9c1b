"""Relay serves its own wheel, and what installs from it works against the Relay that served it."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay.blueprints import install
from relay.web import own_wheel
from relay.web.own_wheel import make_wheel, wheel_name
from tests.support.client_tour import tour
from tests.support.commands import run_command
from tests.support.packages import ROOT
from tests.support.relay_server import Relay

INSTALLED_WHEEL = """\
import hashlib
from relay.web.own_wheel import make_wheel
print(hashlib.sha256(make_wheel()).hexdigest())
"""

# run where a wheel's files lie: what a process makes before and after an upgrade of them
UPGRADED_WHEEL = """\
import sys
from pathlib import Path
from relay.errors import Unavailable
from relay.web.own_wheel import make_wheel, wheel_name

def answer():
    try:
        return make_wheel() == made
    except Unavailable:
        return "unavailable"

sys.path[:] = [path for path in sys.path if "site-packages" not in path]  # Relay is there, too
made, name = make_wheel(), wheel_name()
(old,) = Path.cwd().glob("*.dist-info")
away = old.rename("away")
print("uninstalled", answer())
metadata = away / "METADATA"
text = metadata.read_text()
metadata.write_text(text.replace("\\nVersion: ", "\\nVersion: 9", 1))
new = away.rename(old.name.replace("-", "-9", 1))
print("upgraded", answer(), wheel_name() == name)
(new / "METADATA").write_text(text)
new.rename(old)
print("put back", answer())
"""


def contents(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def other_than_the_builders(files: dict[str, bytes]) -> dict[str, bytes]:
    """What a wheel holds, but for the two files in which its builder is named."""
    return {name: data for name, data in files.items() if not name.endswith(("/WHEEL", "/RECORD"))}


def test_it_holds_what_the_wheel_of_a_release_holds(wheel: Path) -> None:
    made, built = contents(make_wheel()), contents(wheel.read_bytes())
    assert (wheel.name, made.keys()) == (wheel_name(), built.keys())
    assert other_than_the_builders(made) == other_than_the_builders(built)


def test_its_record_names_every_file_with_its_digest_and_size() -> None:
    files = contents(make_wheel())
    (record,) = [name for name in files if name.endswith(".dist-info/RECORD")]
    rows = list(csv.reader(io.StringIO(files[record].decode())))
    expected = [
        [
            name,
            "sha256="
            + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(),
            str(len(data)),
        ]
        for name, data in files.items()
        if name != record
    ]
    assert rows == [*expected, [record, "", ""]]


def test_it_is_the_same_from_a_checkout_and_from_an_installed_wheel(full: Path) -> None:
    installed = subprocess.run(
        [full / "python", "-c", INSTALLED_WHEEL], check=True, capture_output=True, text=True
    )
    assert installed.stdout.strip() == hashlib.sha256(make_wheel()).hexdigest()


def test_files_of_another_version_are_not_given_this_ones_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(make_wheel())) as archive:
        archive.extractall(tmp_path)
    printed = subprocess.run(
        [sys.executable, "-c", UPGRADED_WHEEL],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert printed.stdout.splitlines() == [
        "uninstalled unavailable",
        "upgraded unavailable True",
        "put back True",
    ], printed.stderr


async def test_while_they_are_there_it_is_refused_for_the_moment(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/install/{wheel_name()}"
    install._made.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(own_wheel, "version", lambda name: "9.9.9")
        refused = await relay.http.get(address)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert (await relay.http.get(address)).content == make_wheel()


async def test_it_is_sent_again_only_when_it_changed(relay: Relay) -> None:
    address = f"/install/{wheel_name()}"
    first = await relay.http.get(address)
    assert (first.status_code, first.content) == (200, make_wheel())
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    second = await relay.http.get(address, headers=known)
    assert (second.status_code, second.content) == (304, b"")


async def test_the_stable_address_leads_to_it(relay: Relay) -> None:
    moved = await relay.http.get("/install/relay.whl")
    # without a host: right behind any proxy
    assert (moved.status_code, moved.headers["Location"]) == (302, f"/install/{wheel_name()}")
    followed = await relay.http.get("/install/relay.whl", follow_redirects=True)
    assert followed.content == make_wheel()


async def test_another_version_is_not_there(relay: Relay) -> None:
    name = wheel_name().replace("-py3", "9-py3")
    assert (await relay.http.get(f"/install/{name}")).status_code == 404


async def test_the_page_names_the_address_that_pip_takes(relay: Relay) -> None:
    page = (await relay.http.get("/")).text
    assert f'<meta name="relay-wheel" content="install/{wheel_name()}">' in page


@pytest.mark.timeout(600)
async def test_an_empty_environment_installs_it_and_works_with_that_relay(
    relay: Relay, tmp_path: Path
) -> None:
    """The line of the page, as it stands. The dependencies come from this machine's own index."""
    venv = (sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    created = await run_command(venv, tmp_path)
    assert created.returncode == 0, created.stderr.decode()
    programs = tmp_path / "venv" / "bin"
    # the pip that is here, working in that environment: a second one takes seconds to install
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    install = (*pip, "install", "--no-compile", "--constraint", ROOT / "constraints.txt")
    address = f"{relay.url}/install/{wheel_name()}"
    installed = await run_command((*install, address), tmp_path)
    assert installed.returncode == 0, installed.stderr.decode()
    await tour(programs, relay.url, tmp_path)
    server = await run_command((programs / "python", "-c", "import quart"), tmp_path)
    assert b"ModuleNotFoundError" in server.stderr, "the install was not light"
