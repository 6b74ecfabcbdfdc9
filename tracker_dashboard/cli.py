"""The command `pivotal-tracker-dashboard`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from threading import Thread

_SCRIPT = Path(__file__).parent.parent / "pivotal_tracker_dashboard.py"


def main() -> None:
    """Runs `streamlit run` on the script, whose folder contains the settings."""
    try:
        from streamlit.web.cli import main as streamlit
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing: install the package with its extra [dashboard].")
    # import while the server starts, so that nobody waits for it on the first page
    Thread(target=import_module, args=("tracker_dashboard.data",), daemon=True).start()
    sys.argv[1:1] = ["run", str(_SCRIPT)]
    streamlit()


if __name__ == "__main__":
    main()
