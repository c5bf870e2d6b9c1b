"""The database fails over to a standby: nothing acknowledged is lost, and streams stay."""

from pathlib import Path

from tests.support.ledger import load
from tests.support.relay_process import Program, running
from tests.support.replicas import running_replicas


async def test_an_address_of_two_servers_follows_the_one_that_takes_writes(tmp_path: Path) -> None:
    async with running_replicas(tmp_path) as replicas:
        program = Program(tmp_path, replicas.dsn, RELAY_DATABASE_TIMEOUT="2")
        async with running(program), load(program) as ledger:
            pid = program.pid
            await replicas.primary.kill()
            await ledger.answers(503)
            assert (await program.ask("/readyz")).status == 503
            await replicas.fail_over()
            await ledger.answers(200)
            await program.ready()
            await ledger.goes_on()
            assert (program.pid, program.process.poll()) == (pid, None)
        assert not [reader.ends for reader in ledger.readers if reader.ends]
