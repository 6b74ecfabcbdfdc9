"""The command `pivotal-tracker-dashboard`."""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPT = Path(__file__).parent.parent / "pivotal_tracker_dashboard.py"


def main() -> None:
    """Runs `streamlit run` on the script, whose folder contains the settings."""
    try:
        from streamlit.web.cli import main as streamlit
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing: install the package with its extra [dashboard].")
    sys.argv[1:1] = ["run", str(_SCRIPT)]
    streamlit()


if __name__ == "__main__":
    main()
