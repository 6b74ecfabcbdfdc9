"""The example queries and the notebook give the results that the documentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs import example_queries, notebook

from ..support.command import ROOT


def test_results_of_example_queries_are_current(sample_database: Path) -> None:
    page = (ROOT / "docs" / "queries.md").read_text()
    assert page == example_queries.page(sample_database), "run `make docs`"
    assert len(list(example_queries.QUERIES.glob("*.sql"))) == page.count("```sql") == 20
    results = [section.partition("```sql")[2] for section in page.split("\n## ")[1:]]
    assert all(result.count("\n|") > 2 for result in results), "a question without an answer"


def test_results_in_the_notebook_are_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(cells: Any) -> list[str]:
        texts = [out.get("data", out).get("text/plain", out.get("text")) for out in cells]
        return ["".join(text) for text in texts]

    def outputs(executed: Any) -> list[Any]:
        return [out for cell in executed.cells for out in cell.get("outputs", [])]

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    shown = nbformat.read(notebook.NOTEBOOK, as_version=4)
    assert results(outputs(notebook.execute(tmp_path))) == results(outputs(shown))
    assert sum("image/png" in out.get("data", {}) for out in outputs(shown)) == 2
