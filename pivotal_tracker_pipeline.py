"""Loads Pivotal Tracker data into a database: the command line entry point."""

import gc
import os
import signal
import sys


def main() -> int:
    """Run the command; the imports take a second, in which it may be interrupted too."""
    is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_interruptible:
        signal.signal(signal.SIGINT, _end)
    # modules stay in memory: searching them for garbage takes 6 % of the imports
    gc.disable()
    from pivotal_tracker.cli.main import main as run

    gc.freeze()
    gc.enable()
    if is_interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


def _end(*_: object) -> None:
    """End the process; Python ignores exceptions in the callbacks that an import runs."""
    os.write(2, b"pivotal_tracker: Interrupted before anything was read.\n")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
