"""Execute the example notebook."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "project_report.ipynb"
EXPORT = EXAMPLES / "tea_shop_20250425_1600.csv"


def execute(folder: Path) -> Any:
    """Execute the notebook; return it with its results.

    Args:
        folder: An empty folder. The notebook runs in it as in the root of the repository.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    (folder / "examples").mkdir()
    shutil.copy(EXPORT, folder / "examples")
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    ).execute()
    return notebook


def save_executed(folder: Path) -> None:
    """Execute the notebook and write the results into its file."""
    nbformat.write(execute(folder), NOTEBOOK)  # type: ignore[no-untyped-call]
