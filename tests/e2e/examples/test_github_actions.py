"""`examples/github-actions`: `workflow.yml` and `action.yml`, their steps run as by the runner."""

import pytest

from tests.support.programs import program
from tests.support.recipes import Machine
from tests.support.relay_server import Relay
from tests.support.stand_in import StandIn
from tests.support.workflow_runner import Job

TITLE = "you/project: CI / test"


@pytest.fixture
def job(machine: Machine, relay: Relay) -> Job:
    for name in ("bash", "curl", "jq", "make"):
        program(name)
    (machine.home / "Makefile").write_text("test:\n\t@echo testing\n")
    return Job(machine, relay.url, machine.env["RELAY_TOKEN"])


async def test_a_job_is_reported_from_start_to_end(machine: Machine, job: Job) -> None:
    assert (await job.run(), job.log) == ("success", "testing\n")
    started, ended = await machine.published()
    assert {started["task_id"], ended["task_id"]} == {"16432-1-test-0"}
    assert (started["event_type"], started["payload"]) == (
        "task_started",
        {"title": TITLE, "message": "on main by you"},
    )
    assert (ended["event_type"], ended["payload"]) == ("task_succeeded", {"title": TITLE})


async def test_a_failed_job_is_reported_and_stays_failed(machine: Machine, job: Job) -> None:
    (machine.home / "Makefile").write_text("test:\n\t@exit 1\n")
    assert await job.run() == "failure"
    _, ended = await machine.published()
    assert (ended["event_type"], ended["payload"]) == (
        "task_failed",
        {"title": TITLE, "message": "see https://github.com/you/project/actions/runs/16432"},
    )


async def test_each_leg_and_attempt_is_a_task_and_each_event_counts_once(
    machine: Machine, job: Job
) -> None:
    await job.run()
    await job.run()
    job.variables["GITHUB_RUN_ATTEMPT"] = "2"
    await job.run()
    await Job(machine, job.url, job.token, leg="1").run()
    tasks = [event["task_id"] for event in await machine.published()]
    assert tasks == [f"16432-{run}" for run in ("1-test-0", "2-test-0", "1-test-1") for _ in "se"]


async def test_a_branch_name_is_data_not_code(machine: Machine, job: Job) -> None:
    job.variables["GITHUB_REF_NAME"] = awkward = '"$(touch here)`touch there`\\'
    await job.run()
    started, _ = await machine.published()
    assert started["payload"]["message"] == f"on {awkward} by you"
    assert {path.name for path in machine.home.iterdir()} == {"bin", "Makefile", "step.sh"}


async def test_without_a_token_or_a_relay_the_job_is_unaffected(machine: Machine, job: Job) -> None:
    fork = Job(machine, job.url, "")
    assert await fork.run() == "success"
    assert fork.log.count("::notice title=Relay::No token") == 2
    with StandIn() as refusing:
        refusing.always = (401, {"detail": "Revoked."}, {})
        away = Job(machine, refusing.url, "t")
        assert await away.run() == "success"
    assert away.log.count("::warning title=Relay::Not published: the job is") == 2
    assert await machine.published() == []
