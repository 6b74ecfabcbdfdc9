"""Loads Pivotal Tracker data into a database: the command line entry point."""

import sys


def main() -> int:
    """Run the command; the imports take a second, in which it may be interrupted too."""
    try:
        from pivotal_tracker.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("pivotal_tracker: Interrupted before anything was read.\n")
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
