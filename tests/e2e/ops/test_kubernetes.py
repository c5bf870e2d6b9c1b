"""The manifests of `ops/kubernetes/`: by their schemas, and what they run, under load.

There is no cluster here. A Pod is a process with the command and the environment that it would
have; the probes are asked, and its end is what a kubelet does: the hook, then the signal.
"""

import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import trio
import yaml

from relay.config.settings import SettingError, Settings
from relay.server_process import UNWIND_SECONDS
from tests.support.client.connection import Lost
from tests.support.commands import environment, relay, run_command
from tests.support.ledger import load
from tests.support.patience import PATIENCE
from tests.support.relay_process import Program
from tests.support.reverse_proxies import OPS
from tests.support.tokens import KEYS

FOLDER = OPS / "kubernetes"
PAGE = OPS.parent / "docs" / "how-to" / "run-on-kubernetes.md"
KUSTOMIZATION = "kustomization.yaml"  # read by kubectl, and no object of a cluster
VERSIONS = ("1.27", kubernetes_validate.latest_version())  # the oldest that the page names
NAMES = {field.metadata["name"] for field in Settings.__dataclass_fields__.values()}

Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != KUSTOMIZATION:
            yield from yaml.safe_load_all(path.read_text())


MANIFESTS = {manifest["kind"]: manifest for manifest in manifests()}
DEPLOYMENT = MANIFESTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]
(MIGRATION,) = MANIFESTS["Job"]["spec"]["template"]["spec"]["containers"]
STOP_HOOK: list[str] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]


def given(**changes: str) -> dict[str, str]:
    """The environment of a Pod, with its secrets filled in."""
    secrets = {"RELAY_SIGNING_KEYS": KEYS, "RELAY_METRICS_TOKEN": "0123456789abcdef"}
    environment = {**MANIFESTS["ConfigMap"]["data"], **MANIFESTS["Secret"]["stringData"]}
    return {**environment, **secrets, **changes}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=list(MANIFESTS))
def test_a_manifest_fits_its_schema(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_find_a_misspelt_field() -> None:
    probe = CONTAINER["readinessProbe"]
    wrong = json.loads(json.dumps(MANIFESTS["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {**probe, "timeout": 3}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_manifests_name_settings_and_each_other() -> None:
    text = (FOLDER / "secret.example.yaml").read_text()
    named = {*given(), *re.findall(r"^  # (RELAY_\w+): ", text, re.MULTILINE)}
    assert named <= NAMES
    kustomization = yaml.safe_load((FOLDER / KUSTOMIZATION).read_text())
    applied = [
        manifest["kind"]
        for name in kustomization["resources"]
        for manifest in yaml.safe_load_all((FOLDER / name).read_text())
    ]
    assert applied == ["ConfigMap", "Deployment", "Service", "PodDisruptionBudget"]
    for container in (CONTAINER, MIGRATION):
        assert [each for source in container["envFrom"] for each in source.values()] == [
            {"name": MANIFESTS["ConfigMap"]["metadata"]["name"]},
            {"name": MANIFESTS["Secret"]["metadata"]["name"]},
        ]
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    for selector in (
        DEPLOYMENT["selector"]["matchLabels"],
        MANIFESTS["Service"]["spec"]["selector"],
        MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in POD["topologySpreadConstraints"]),
    ):
        assert selector == labels
    assert MANIFESTS["Job"]["spec"]["template"]["metadata"]["labels"] != labels
    (port,) = CONTAINER["ports"]
    (way_in,) = MANIFESTS["Service"]["spec"]["ports"]
    assert way_in["targetPort"] == port["name"]
    (rule,) = MANIFESTS["Ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {
        "name": MANIFESTS["Service"]["metadata"]["name"],
        "port": {"name": way_in["name"]},
    }
    assert f"https://{rule['host']}" == given()["BASE_URL"]


def test_a_pod_that_has_ended_is_no_target_of_prometheus() -> None:
    (block,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", PAGE.read_text(), re.DOTALL)
    (job,) = yaml.safe_load(block)["scrape_configs"]
    (dropped,) = [
        rule["regex"]
        for rule in job["relabel_configs"]
        if rule["source_labels"] == ["__meta_kubernetes_pod_phase"] and rule["action"] == "drop"
    ]
    phases = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
    assert [it for it in phases if re.fullmatch(dropped, it)] == ["Succeeded", "Failed"]


def test_the_example_of_secrets_is_refused_until_it_is_filled_in() -> None:
    with pytest.raises(SettingError, match="RELAY_SIGNING_KEYS"):
        Settings.load(MANIFESTS["Secret"]["stringData"])
    Settings.load(given())


def test_the_container_is_what_the_dockerfile_builds() -> None:
    text = (OPS / "container" / "Dockerfile").read_text()
    assert json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1]) == CONTAINER["command"]
    (user,) = re.findall(r"^USER (\d+):", text, re.MULTILINE)
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", text, re.MULTILINE)
    assert CONTAINER["ports"][0]["containerPort"] == int(exposed)
    for pod in (POD, MANIFESTS["Job"]["spec"]["template"]["spec"]):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert pod["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_times_fit_those_of_relay() -> None:
    settings = Settings.load(given())
    assert STOP_HOOK[0] == "sleep"
    stop = int(STOP_HOOK[1]) + settings.drain_delay + settings.drain_timeout + UNWIND_SECONDS
    assert POD["terminationGracePeriodSeconds"] > stop
    assert CONTAINER["readinessProbe"]["timeoutSeconds"] > 2  # what /readyz takes at most
    waits = [
        int(value)
        for name, value in MANIFESTS["Ingress"]["metadata"]["annotations"].items()
        if name.endswith(("-read-timeout", "-send-timeout"))
    ]
    assert [seconds >= 3 * settings.heartbeat for seconds in waits] == [True, True]


# -- what the manifests run


class Pod(Program):
    """A Relay as the Deployment runs it."""

    async def ready(self) -> None:
        for name in ("startupProbe", "readinessProbe"):
            await self.until(name, succeeds=True)

    async def probed(self, name: str) -> bool:
        """Ask a probe once."""
        asked = CONTAINER[name]["httpGet"]
        assert asked["port"] == CONTAINER["ports"][0]["name"]
        try:
            return 200 <= (await self.ask(asked["path"])).status < 400
        except Lost:
            return False

    async def until(self, name: str, *, succeeds: bool) -> None:
        with trio.fail_after(PATIENCE):
            while await self.probed(name) != succeeds:
                assert self.process.poll() is None or not succeeds, self.stderr
                await trio.sleep(0.05)

    async def terminate(self) -> None:
        """End it as a kubelet does."""
        hook = await run_command(STOP_HOOK, self.folder)
        assert hook.returncode == 0, hook.stderr
        for name in ("livenessProbe", "readinessProbe"):  # it serves on until the signal
            await self.until(name, succeeds=True)
        self.signal(signal.SIGTERM)
        await self.until("readinessProbe", succeeds=False)
        assert await self.ended() == 0


@asynccontextmanager
async def deployed(folder: Path, database_url: str) -> AsyncIterator[list[Pod]]:
    pods = [Pod(folder / name, database_url) for name in ("one", "two")]
    for pod in pods:
        pod.folder.mkdir()
        pod.settings = {
            **given(DATABASE_URL=database_url, BASE_URL=pods[0].url, RELAY_AUTO_MIGRATE="off"),
            **pod.settings,  # a port of its own, and no limits for the load
            "RELAY_DATA_DIR": "/proc/nothing-can-be-written-there",
            "HOME": "/proc/nothing-can-be-written-there",
            "RELAY_TRUSTED_PROXIES": "0",  # nothing stands in front here
            "RELAY_DRAIN_DELAY": "1",  # and nothing looks at Pods by itself
        }
    try:
        for pod in pods:
            await pod.launch()
        for pod in pods:
            await pod.ready()
        yield pods
    finally:
        for pod in pods:
            await pod.end()


async def test_pods_that_are_replaced_one_after_the_other_lose_nothing(
    tmp_path: Path, empty_database_url: str
) -> None:
    """Streams are open and producers post all the while, and each Pod ends once."""
    assert CONTAINER["command"] == ["relay", "serve"]  # as `Program` starts it
    assert MIGRATION["command"][0] == "relay"
    env = environment(**given(DATABASE_URL=empty_database_url, RELAY_AUTO_MIGRATE="off"))
    migrated = await relay(tmp_path, *MIGRATION["command"][1:], env=env)
    assert migrated.returncode == 0, migrated.stderr
    async with deployed(tmp_path, empty_database_url) as pods, load(*pods) as ledger:
        for pod in pods:
            await pod.terminate()
            await ledger.goes_on()
            await pod.start()  # the next Pod, at the same address
            await ledger.goes_on()
        assert any(1012 in reader.ends for reader in ledger.readers)
