"""Loads Pivotal Tracker data into a database: the command line entry point."""

import sys

from pivotal_tracker.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
