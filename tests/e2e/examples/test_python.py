"""`examples/python`: tqdm and logging, run as they stand."""

from tests.support.recipes import EXAMPLES, Machine, log_text, shape

PYTHON = EXAMPLES / "python"


async def test_tqdm_progress_is_the_tasks_progress(machine: Machine) -> None:
    done = await machine.run("python", PYTHON / "with_tqdm.py")
    assert done.returncode == 0, done.stderr
    assert b"epoch 3: 100%" in done.stderr
    started, *events, ended = await machine.published()
    assert (started["event_type"], started["payload"]) == (
        "task_started",
        {"title": "Train the model", "lease_s": 90},
    )
    lines = [line.partition(":")[0] for line in log_text(events).split("\n")]
    assert lines == ["epoch 1", "epoch 2", "epoch 3"]
    bars = [event["payload"] for event in events if event["event_type"] == "task_progress"]
    assert bars[-1] == {"progress": 1.0, "message": "epoch 3: 50/50"}
    assert (ended["event_type"], ended["task_id"]) == ("task_succeeded", started["task_id"])


async def test_log_records_are_the_tasks_log(machine: Machine) -> None:
    done = await machine.run("python", PYTHON / "with_logging.py")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b"WARNING:shop:left out: pear,four\nINFO:shop:8 pieces ordered\n"
    events = await machine.published()
    assert shape(events[:1]) == [("task_started", None)]
    logged = [
        (event["payload"]["level"], event["payload"]["message"])
        for event in events
        if event["event_type"] == "log"
    ]
    assert logged == [("warning", "left out: pear,four"), ("info", "8 pieces ordered")]
    assert ("task_progress", "3/3") in shape(events)
    assert events[-1]["event_type"] == "task_succeeded"
