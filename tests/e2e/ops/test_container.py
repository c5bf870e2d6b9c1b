"""The container files, as far as they can be tested without a container engine.

No image is built here. What the Dockerfile would copy is copied, what it would build is built,
and what it would run is run with the environment it sets.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import yaml

from relay.config.settings import Settings
from tests.support.commands import environment, run_command, running
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.wheels import install

ROOT = Path(__file__).parents[3]
CONTAINER = ROOT / "ops" / "container"
NAMES = {field.metadata["name"] for field in Settings.__dataclass_fields__.values()}

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, stage by stage."""
    text = re.sub(r"^\s*#.*\n", "", (CONTAINER / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[list[Instruction]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            if word == "FROM":
                found.append([])
            found[-1].append((word, " ".join(rest.split())))
    return found


BUILD, FINAL = stages()


def only(word: str) -> str:
    """What the final image's one such instruction says."""
    (rest,) = [rest for name, rest in FINAL if name == word]
    return rest


def copied() -> list[str]:
    """What the build takes from the checkout."""
    return [source for word, rest in BUILD if word == "COPY" for source in rest.split()[:-1]]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build's working folder: what is copied into it, and nothing else of the checkout."""
    folder = tmp_path_factory.mktemp("src")
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def programs(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build installs; the packages that it would fetch are those that are here."""
    folder = tmp_path_factory.mktemp("image")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
    subprocess.run([*build, context], check=True, capture_output=True)
    (wheel,) = folder.glob("relay_streams-*.whl")
    return install(wheel, folder / "venv", Path(httpx.__file__).parents[1])


def test_the_build_installs_the_server_with_the_pinned_packages() -> None:
    (run,) = [rest for word, rest in BUILD if word == "RUN"]
    assert run.endswith("-c constraints.txt '.[server,valkey]'")
    assert "constraints.txt" in copied()


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    lines = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


def test_relay_runs_unprivileged_and_receives_the_stop_signal() -> None:
    user, group = only("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert only("STOPSIGNAL") == "SIGTERM"
    # a list, so that no shell stands between the engine's signal and Relay
    assert json.loads(only("CMD")) == ["relay", "serve"]
    assert not [rest for word, rest in FINAL if word == "ENTRYPOINT"]


async def test_the_container_command_serves_is_healthy_and_stops(
    programs: Path, tmp_path: Path
) -> None:
    held = HeldPort()
    port = held.number
    set_there = dict(pair.split("=", 1) for pair in only("ENV").split())
    assert {name for name in set_there if name.startswith("RELAY_")} <= NAMES
    assert set_there["RELAY_DATA_DIR"] == only("VOLUME") == only("WORKDIR") == set_there["HOME"]
    env = environment(
        RELAY_BIND=set_there["RELAY_BIND"].replace(only("EXPOSE"), str(port)),
        RELAY_DATA_DIR=str(tmp_path / "data"),
        PATH=f"{programs}:{environment()['PATH']}",
    )
    probe = json.loads(only("HEALTHCHECK").partition(" CMD ")[2])
    healthy = [probe[0], *(word.replace(only("EXPOSE"), str(port)) for word in probe[1:])]
    assert healthy != probe, "the probe asks another port than the one exposed"
    binary, *arguments = json.loads(only("CMD"))
    async with running((programs / binary, *arguments), tmp_path, env) as relay:
        await relay.url()
        with trio.fail_after(PATIENCE):  # a probe is tried again, too: it waits for 4 s alone
            while (await run_command(healthy, tmp_path, env)).returncode != 0:
                pass
        relay.process.terminate()
        assert await relay.ended() == 0
    assert (await run_command(healthy, tmp_path, env)).returncode == 1


def environments(service: dict[str, Any]) -> Iterator[str]:
    for name, value in service["environment"].items():
        yield name
        yield from re.findall(r"\$\{(\w+)", value)


def test_compose_uses_existing_settings() -> None:
    services = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]
    relay, postgres = services["relay"], services["postgres"]
    assert set(environments(relay)) <= NAMES | {"POSTGRES_PASSWORD"}
    assert int(relay["stop_grace_period"].rstrip("s")) >= 2 * Settings().drain_timeout
    build = relay["build"]
    assert (CONTAINER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert relay["ports"] == [f"127.0.0.1:{only('EXPOSE')}:{only('EXPOSE')}"]
    # `create-role.sql` makes the role and the database of this address, with this password
    password = "${POSTGRES_PASSWORD:?}"
    assert postgres["environment"] == {"POSTGRES_PASSWORD": password}
    address = relay["environment"]["DATABASE_URL"]
    assert address == f"postgresql://relay:{password}@postgres/relay"
    given = {"DATABASE_URL": re.sub(r"\$\{[^}]+\}", "secret", address)}
    Settings.load({**given, "RELAY_SIGNING_KEYS": f"k1:{'0' * 32}"})
