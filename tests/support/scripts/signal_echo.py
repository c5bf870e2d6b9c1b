"""A command that prints each signal it receives; SIGUSR1 ends it."""

import os
import signal
import sys

HEARD = {
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGCONT, signal.SIGUSR1),
}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    os.write(2, b"ready\n")
    number = None
    while number != signal.SIGUSR1:
        number = signal.sigwait(HEARD)
        os.write(2, b"heard %s\n" % signal.Signals(number).name.encode())
    sys.exit(5)


if __name__ == "__main__":
    main()
