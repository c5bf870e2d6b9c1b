"""What an idle WebSocket costs in memory, on Relay and on a bare Quart handler.

python -m bench.idle [--sockets 2000]
"""

import argparse
import asyncio
import os

from bench.readers import open_readers
from bench.servers import OTHER_CORE, bare_quart, call, relay, resident_kib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=2000)
    wanted = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {OTHER_CORE})
    with relay() as (port, process):
        session = call(port, "/api/user")["session_token"]
        asyncio.run(_measure("Relay", port, process.pid, session, wanted.sockets))
    with bare_quart() as (port, process):
        asyncio.run(_measure("bare Quart", port, process.pid, "none", wanted.sockets))


async def _measure(name: str, port: int, pid: int, token: str, sockets: int) -> None:
    await open_readers(port, token, 50)  # what is made once is made now
    before = resident_kib(pid)
    await open_readers(port, token, sockets)
    await asyncio.sleep(2)
    each = (resident_kib(pid) - before) / sockets
    print(f"{name:10}  {each:5.1f} KiB an idle WebSocket ({sockets} open)")


if __name__ == "__main__":
    main()
