"""Start the programs that come with the package: the dashboard and the API server.

In a checkout their folders are at the root. In an installed package they are in a folder of their
own, which is not on Python's path: `site-packages` is shared with other packages.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_INSTALLED = _ROOT / "pivotal_tracker_programs"
_DASHBOARD = "pivotal-tracker-dashboard"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _ROOT
"""The folder of `tracker_server`, `tracker_dashboard` and the script that Streamlit runs."""


def dashboard_command() -> str:
    """Return the command that opens the dashboard; empty if the source was copied without it."""
    script = FOLDER / "pivotal_tracker_dashboard.py"
    if not script.is_file():
        return ""
    if Path.cwd() == _ROOT and (_ROOT / "Makefile").is_file() and shutil.which("make"):
        return "make dashboard"
    if find_spec("streamlit") is None:
        return f'pip install "pivotal-tracker-pipeline[dashboard]", then {_DASHBOARD}'
    if shutil.which(_DASHBOARD):
        return _DASHBOARD
    beside = shutil.which(_DASHBOARD, path=Path(sys.argv[0]).parent)
    return beside or f"{sys.executable} -m streamlit run {script}"


def add_to_path() -> None:
    """Make `tracker_server` importable."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))


def dashboard() -> None:
    """Run the command `pivotal-tracker-dashboard`: `streamlit run` on the dashboard's script.

    Streamlit reads its settings from `.streamlit` in the script's folder.
    """
    try:
        from streamlit.web.cli import main as streamlit
    except ModuleNotFoundError as error:
        sys.exit(_missing(error, "dashboard"))
    sys.argv[1:1] = ["run", str(FOLDER / "pivotal_tracker_dashboard.py")]
    streamlit()


def server() -> int:
    """Run the command `pivotal-tracker-server`: serve archives, or a sample workspace, as API v5.

    Returns:
        The exit code.
    """
    add_to_path()
    try:
        from tracker_server.__main__ import main
    except ModuleNotFoundError as error:
        sys.exit(_missing(error, "server"))
    return main()


def _missing(error: ModuleNotFoundError, extra: str) -> str:
    return (
        f'{error.name} is not installed: pip install "pivotal-tracker-pipeline[{extra}]", or in a '
        f'checkout pip install -e ".[{extra}]".'
    )
