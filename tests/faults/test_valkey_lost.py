"""A Valkey between two Relays that is cut, killed or silent loses no event and no revoke.

That it carries everything alone, while the processes ask the database for nothing, is in
`test_notifications_lost.py`.
"""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.client.caller import Caller
from tests.support.patience import PATIENCE
from tests.support.two_relays import BY_WORD_ALONE, Pair, pair_of
from tests.support.valkey_servers import Cluster, own_channels, started


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster("valkey", tmp_path)
    with started(cluster):
        yield cluster


async def everything_arrives(pair: Pair) -> None:
    await pair.events_arrive(2)
    await pair.a_revoke_arrives()


async def test_without_looks_each_second_a_cut_connection_is_followed_by_one(
    tmp_path: Path, database_url: str, cluster: Cluster
) -> None:
    """What is lost comes with the look after the gap, or with the next event that is heard."""
    both = own_channels(cluster.url)
    async with pair_of(tmp_path, database_url, BY_WORD_ALONE, both) as pair:
        await pair.are_in_touch()
        for _ in range(3):
            for server in cluster.servers:
                server.cut_all()
                await pair.post()
            await pair.are_in_touch()
        await pair.there.shows("relay_backplane_reconnects_total", lambda count: count >= 9)


async def test_an_answer_reaches_the_call_that_waits_on_another_process(
    tmp_path: Path, database_url: str, valkey_cluster_url: str
) -> None:
    both = own_channels(valkey_cluster_url)
    question = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"]}
    async with pair_of(tmp_path, database_url, BY_WORD_ALONE, both) as pair:
        await pair.are_in_touch()
        made = (await pair.call("/api/asks", pair.account.hook, **question, expires_in=3600)).json
        path = f"/api/asks/{made['ask_id']}"
        found: list[str] = []

        async def wait(task_status: trio.TaskStatus[None]) -> None:
            async with Caller(pair.there.port) as caller:
                task_status.started()
                while not found or found[-1] == "open":  # a call waits for 25 s at most
                    answer = await caller.insist("GET", f"{path}?wait_s=25", pair.account.hook)
                    found.append(json.loads(answer.body)["state"])

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(wait)
                await pair.there.shows("relay_waiting_calls", lambda calls: calls == 1)
                shown = (await pair.here.ask(path, pair.account.session)).json
                body = {"answer": "yes", "question_hash": shown["question_hash"]}
                await pair.call(f"{path}/answer", pair.account.session, **body)
        assert found[-1] == "answered"


async def test_the_database_covers_a_cluster_that_is_silent_or_dead(
    tmp_path: Path, database_url: str, cluster: Cluster
) -> None:
    async with pair_of(tmp_path, database_url, None, own_channels(cluster.url)) as pair:
        await pair.are_in_touch()
        for server in cluster.servers:
            server.signal(signal.SIGSTOP)
        await goes_on_without(pair, times=1)
        for server in cluster.servers:
            server.signal(signal.SIGCONT)
        await is_used_again(pair)
        await trio.to_thread.run_sync(cluster.end)
        await goes_on_without(pair, times=2)
        for server in cluster.servers:
            server.start()
        await is_used_again(pair)


async def goes_on_without(pair: Pair, times: int) -> None:
    await everything_arrives(pair)
    for program in (pair.here, pair.there):
        await program.shows("relay_backplane_up", lambda up: up == 0)
        await program.says("valkey_node_away", times=3 * times)
    await everything_arrives(pair)
    await pair.there.shows("relay_backplane_look_found_total", lambda found: found > 0)


async def is_used_again(pair: Pair) -> None:
    for program in (pair.here, pair.there):
        await program.shows("relay_backplane_up", lambda up: up == 1)
    await pair.are_in_touch()
    await everything_arrives(pair)


async def test_a_process_starts_without_its_valkey(
    tmp_path: Path, database_url: str, cluster: Cluster
) -> None:
    cluster.end()
    async with pair_of(tmp_path, database_url, None, own_channels(cluster.url)) as pair:
        await everything_arrives(pair)
        await pair.there.says("valkey_away")
        (away, *_) = pair.there.logged("valkey_away")
        assert away["level"] == "warning"
        for server in cluster.servers:
            server.start()
        await pair.there.shows("relay_backplane_up", lambda up: up == 1)
        await pair.are_in_touch()
