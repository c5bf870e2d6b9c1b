"""The worker process of `relay serve --workers N`. Not for use by hand.

python -P -m relay.cli.worker --mark=MARK
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from relay.cli.unused_packages import without_unused_packages
from relay.imports import frozen_imports

# Before the imports, which take a second: the supervisor handles Ctrl-C, which a terminal sends to
# all its processes, and SIGHUP.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)

with frozen_imports():
    from prometheus_client import values

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
MARK = sys.argv[1].removeprefix("--mark=")
mark = f"{MARK}-waiting"

# Set before any metric is declared. Later workers use a mark again; with process ids, each worker
# would leave a file behind.
values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
    lambda: mark
)

with frozen_imports(), without_unused_packages():
    import click
    import trio

    from relay.cli.failures import report_known_failures
    from relay.config.settings import Settings
    from relay.observability import metrics
    from relay.observability.logs import configure_logs
    from relay.observability.sentry import configure_reports
    from relay.workers.protocol import Report
    from relay.workers.worker import Reports, read_worker_config, run_worker


def join_service_metrics() -> None:
    """Add this worker's metrics to those of the service: write them to the file of its mark."""
    global mark
    mark = MARK
    os.environ[FOLDER] = str(Path(os.environ[FOLDER]).parent)
    metrics.set_build_info()


def set_process_name(name: str) -> None:
    """Set the name that `top` and `ps -o comm` show, on Linux; 15 characters at most."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def main() -> None:
    """Read the configuration from stdin and serve.

    A known failure is reported to the supervisor, which logs it.
    """
    reports = Reports()
    set_process_name("relay spare")
    if (worker_config := read_worker_config()) is None:
        return
    set_process_name(f"relay worker {worker_config.number}")
    join_service_metrics()
    if worker_config.predecessor_end:
        metrics.workers_replaced.labels(worker_config.predecessor_end).inc()
    try:
        with report_known_failures():
            settings = Settings.load(worker_config.settings)
            configure_logs(settings.log_level)
            configure_reports(settings)
            metrics.workers.set(settings.workers)
            trio.run(run_worker, worker_config, settings, reports)
    except click.ClickException as error:
        reports.send(Report("failed", error.message))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
