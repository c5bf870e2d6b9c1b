"""`examples/github-actions`: `workflow.yml` and `action.yml`, `deploy.yml` and `approve.yml`; their
steps run as by the runner."""

import pytest
import trio

from tests.support.databases import statement
from tests.support.programs import program
from tests.support.recipes import Machine
from tests.support.relay_server import Relay, calls_wait
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


# -- a step that waits for an answer


@pytest.fixture
def deploy(machine: Machine, job: Job) -> Job:
    (machine.home / "Makefile").write_text("deploy:\n\t@echo deployed\n")
    return Job(machine, job.url, job.token, workflow="deploy.yml")


async def test_the_first_option_lets_the_job_go_on_and_another_one_fails_it(
    machine: Machine, deploy: Job
) -> None:
    for attempt, (text, status) in enumerate((("yes", "success"), ("no", "failure"))):
        deploy.variables["GITHUB_RUN_ATTEMPT"] = str(attempt)
        deploy.status, deploy.log = "success", ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deploy.run)
            await calls_wait(machine.user.relay, 1)
            (ask,) = (await machine.user.call("GET", "/api/asks")).json()["asks"]
            assert (ask["question"], ask["options"]) == ("Deploy main?", ["yes", "no"])
            assert ask["details"] == {
                **{"by": "you", "ref": "main", "commit": "59677f0"},
                "run": "https://github.com/you/project/actions/runs/16432",
            }
            given = {"answer": text, "question_hash": ask["question_hash"]}
            await machine.user.call("POST", f"/api/asks/{ask['ask_id']}/answer", json=given)
        assert deploy.status == status, deploy.log
        assert ("deployed" in deploy.log) == (text == "yes")
    assert deploy.output.read_text() == "answer=yes\nanswer=no\n"


async def test_without_an_answer_the_job_fails(
    machine: Machine, deploy: Job, database_url: str
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deploy.run)
        await calls_wait(machine.user.relay, 1)
        await statement(database_url, "UPDATE asks SET expires_at = now()")
    assert (deploy.status, "deployed" in deploy.log) == ("failure", False)
    assert "::error title=Relay::No answer: the question is expired." in deploy.log


async def test_where_it_cannot_be_asked_the_job_fails(machine: Machine, deploy: Job) -> None:
    for token, line in (("", "No token"), ("broken", "Not asked: The credential")):
        without = Job(machine, deploy.url, token, workflow="deploy.yml")
        assert await without.run() == "failure"
        assert f"::error title=Relay::{line}" in without.log
        assert "deployed" not in without.log
