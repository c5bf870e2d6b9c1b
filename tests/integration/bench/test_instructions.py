"""The program whose instructions are counted does what its operations say."""

import trio

from bench.instructions.callgrind import Sections
from bench.instructions.clients import Crowd, Poster, StillClock, WrongAnswer
from bench.instructions.operations import OPERATIONS
from bench.instructions.parts import PARTS
from bench.instructions.stage import stage


def test_each_operation_and_each_part_runs() -> None:
    """Clients check what they are answered. Outside of Valgrind each section has its time."""
    sections = Sections()

    async def run() -> None:
        async with stage() as relay:
            for name, (operation, number) in (OPERATIONS | PARTS).items():
                async with operation(relay) as prepare:
                    work = prepare(number)
                    with sections.section(name):
                        await work()

    trio.run(run, clock=StillClock())
    assert list(sections.seconds) == [*OPERATIONS, *PARTS]


def test_a_refused_post_is_no_count() -> None:
    failures: list[str] = []

    async def run() -> None:
        async with stage() as relay:
            request = b"POST /api/webhook/cli HTTP/1.1\r\nHost: relay\r\n\r\n"
            try:
                await Crowd([Poster(relay.port, [request, request])]).run()
            except WrongAnswer as failure:
                failures.append(str(failure))

    trio.run(run, clock=StillClock())
    assert [failure[:12] for failure in failures] == ["HTTP/1.1 401"]
