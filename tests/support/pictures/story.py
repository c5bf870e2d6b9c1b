"""An afternoon's work for the pictures: the demo's scenes, slowed to the pace of real builds.

The clock of the page is the story's, and what the server stamps is shown as the story's time, so
that the same story makes the same pictures each time.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import trio

from tests.support.browser.chromium import Tab
from tests.support.patience import PATIENCE
from tests.support.relay_server import bearer

NOW = datetime(2026, 1, 30, 15, 42, 7, tzinfo=UTC)
LIVE = 60  # seconds at its end that the page sees as they happen
LATENCY = 4  # ms, about
QUESTION_SECONDS = 750  # that are left for an answer
QUESTION = {
    "question": "Run the migration on the staging database?",
    "kind": "choice",
    "options": ["yes", "only show the plan", "no"],
    "details": {"command": "alembic upgrade head", "tables": ["uploads", "upload_parts"]},
    "task_id": "agent",
}

CHANNELS: tuple[dict[str, Any], ...] = (
    {"kind": "ntfy", "url": "https://ntfy.sh/builds-7f3kq2xw"},
    {
        "kind": "slack",
        "url": "https://hooks.slack.com/services/T0000/B0000/k3XwQ7Lm",
        "on": ["failed", "lost"],
    },
)

# Runs before the page's own scripts.
CLOCK = """
const { parse } = JSON;
const inSeconds = (count) => new Date(Date.now() + count * 1000).toISOString();
const retime = (task) => {
  const times = window.storyTimes;
  task.started_at = times[task.first_seq];
  task.last_at = times[task.last_seq] ?? inSeconds(0);
  if (task.ended_at) task.ended_at = times[task.last_seq];
  window.tasksUntil = Math.max(window.tasksUntil ?? 0, task.last_seq);
};
JSON.parse = (...given) => {
  const found = parse(...given);
  for (const message of [found].flat()) {
    if (message?.type === 'tasks') message.tasks.forEach(retime);
    if (message?.task?.first_seq) retime(message.task);
    if (!message?.received_at) continue;
    message.received_at = message.ts;
    if (message.event_type === 'task_waiting') {
      message.received_at = message.payload.asked_at = inSeconds(0);
      message.payload.expires_at = inSeconds(QUESTION_SECONDS);
    }
    window.heard = message.cursor;
  }
  return found;
};

const days = (count) => new Date(Date.now() + count * 86_400_000).toISOString();
const { json } = Response.prototype;
Response.prototype.json = async function () {
  const found = await json.call(this);
  for (const [place, token] of (found.tokens ?? []).entries()) {
    token.created_at = days(2 * place - 12);
    token.expires_at = days(2 * place + 78);
    if (token.last_used_at) token.last_used_at = days(0);
  }
  for (const [place, channel] of (found.channels ?? []).entries()) {
    channel.delivered_at = inSeconds(-2_520 * (place + 1));
  }
  return found;
};

Math.random = () => 0.5;
""".replace("QUESTION_SECONDS", str(QUESTION_SECONDS))


@dataclass(frozen=True)
class Act:
    """A scene in the story: how long before now it begins, and how much slower it goes."""

    scene: str
    before: timedelta
    slower: float


ACTS = (
    Act("build", timedelta(minutes=52), 11),
    Act("train", timedelta(minutes=39), 58),
    Act("deploy", timedelta(minutes=9), 14),
    Act("agent", timedelta(minutes=4, seconds=20), 15),
)


@dataclass(frozen=True)
class Beat:
    """Something that happens, `at` seconds from now; none is still to come."""

    at: float
    event_type: str
    task_id: str
    payload: dict[str, Any]


async def beats(tab: Tab) -> list[Beat]:
    """The whole story in order, from the scenes that Relay serves; `tab` shows a page of its."""
    scenes = await tab.run("import('/console/demo-scenes.js').then(({ scenes }) => scenes('1'))")
    found = []
    for act in ACTS:
        shown = [beat for beat in scenes if beat["task"] == f"demo-{act.scene}-1"]
        for number, beat in enumerate(shown):
            at = (beat["at"] - shown[0]["at"]) * act.slower - act.before.total_seconds()
            again = number > 0 and beat["type"] == "task_started"
            if at > 0 or again:
                break
            found.append(Beat(at, beat["type"], act.scene, beat["payload"]))
    return sorted(found, key=lambda beat: beat.at)


def times(beats: list[Beat]) -> str:
    """A script that tells the page when each event of the story happened, by its seq."""
    moments = {seq: _moment(beat) for seq, beat in enumerate(beats, 1)}
    return f"window.storyTimes = {json.dumps(moments)};"


def _moment(beat: Beat) -> str:
    return (NOW + timedelta(seconds=beat.at)).isoformat(timespec="milliseconds")


async def publish(http: httpx.AsyncClient, hook: str, happened: list[Beat]) -> str:
    """In one request; returns the cursor behind the last."""
    lines = [
        {
            "event_type": beat.event_type,
            "task_id": beat.task_id,
            "ts": _moment(beat),
            "payload": beat.payload,
        }
        for beat in happened
    ]
    answer = await http.post(
        "/api/webhook/cli",
        headers={**bearer(hook), "Content-Type": "application/x-ndjson"},
        content="\n".join(json.dumps(line) for line in lines),
    )
    cursor: str = answer.raise_for_status().json()["cursor"]
    return cursor


async def play(tab: Tab, http: httpx.AsyncClient, hook: str, happening: list[Beat]) -> None:
    """What happens while the page watches, each at its moment; its clock stands at LIVE ago."""
    stands, last_seq = float(-LIVE), 0
    for beat in happening:
        await pass_by(tab, round((beat.at - stands) * 1000) + LATENCY)
        stands = beat.at
        cursor = await publish(http, hook, [beat])
        await _hears(tab, "window.heard", cursor)
        last_seq = int(cursor.rpartition(".")[2])
    await _hears(tab, "window.tasksUntil", last_seq)  # its task comes a moment later
    await pass_by(tab, round(-stands * 1000) - LATENCY)


async def ask(tab: Tab, http: httpx.AsyncClient, hook: str) -> None:
    """The agent asks, and the page has heard of it."""
    body = QUESTION | {"expires_in": QUESTION_SECONDS}
    answer = await http.post("/api/asks", json=body, headers=bearer(hook))
    cursor: str = answer.raise_for_status().json()["cursor"]
    await _hears(tab, "window.heard", cursor)
    await _hears(tab, "window.tasksUntil", int(cursor.rpartition(".")[2]))


async def pass_by(tab: Tab, milliseconds: int) -> None:
    """Let the page's clock go on by so much, and its timers with it."""
    await tab.do(lambda page: page.clock.run_for(milliseconds))


async def _hears(tab: Tab, what: str, last: str | int) -> None:
    with trio.fail_after(PATIENCE):
        while await tab.run(what) != last:  # noqa: ASYNC110 - its timers stand still
            await trio.sleep(0.005)


async def add_channels(tab: Tab) -> None:
    """Channels of the page's user, which are shown as if something had arrived there."""
    for channel in CHANNELS:
        body = json.dumps(json.dumps(channel))
        asked = f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {body}}}"
        status = await tab.run(f"fetch('api/channels', {asked}).then((answer) => answer.status)")
        assert status == 201, status
