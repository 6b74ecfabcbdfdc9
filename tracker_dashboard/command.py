"""The dashboard as a command of an installed package: `pivotal-tracker-dashboard`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from threading import Thread

_SCRIPT = Path(__file__).parent.parent / "pivotal_tracker_dashboard.py"


def main() -> None:
    """Has Streamlit run the script, beside which are its settings, with the options given."""
    try:
        from streamlit.web.cli import main as streamlit
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing: install the package with its extra [dashboard].")
    # while the server starts and a browser is opened, not when its first page is waited for
    Thread(target=import_module, args=("tracker_dashboard.data",), daemon=True).start()
    sys.argv[1:1] = ["run", str(_SCRIPT)]
    streamlit()


if __name__ == "__main__":
    main()
