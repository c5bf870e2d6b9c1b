"""The line from a supervisor to a worker keeps its names: they may be of two versions."""

import msgspec

from relay.workers.protocol import WorkerConfig

LINE = (
    b'{"number":2,"settings":{"RELAY_WORKERS":"2"},"bind":["fd://7"],"insecure_bind":[],'
    b'"others":[8,9],"base_url":"http://127.0.0.1:8000","dsn":"postgres:///relay",'
    b'"direct":"postgres:///relay","keys":[],"database":"DATABASE_URL","folder":null,'
    b'"after":"it died"}'
)
CONFIG = WorkerConfig(
    number=2,
    settings={"RELAY_WORKERS": "2"},
    bind=["fd://7"],
    insecure_bind=[],
    other_descriptors=[8, 9],
    base_url="http://127.0.0.1:8000",
    dsn="postgres:///relay",
    direct="postgres:///relay",
    keys=(),
    database="DATABASE_URL",
    folder=None,
    predecessor_end="it died",
)


def test_a_configuration_is_this_line() -> None:
    assert msgspec.json.encode(CONFIG) == LINE


def test_a_worker_reads_the_line_of_a_supervisor_of_another_version() -> None:
    newer = LINE.replace(b'"number"', b'"not_known_here":1,"number"')
    assert msgspec.json.decode(newer, type=WorkerConfig) == CONFIG
    older = LINE.replace(b'"after":"it died"', b'"keeps_house":true')
    assert msgspec.json.decode(older, type=WorkerConfig).predecessor_end == ""
