"""Write the page of example queries: each file in `examples/queries`, with its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

QUERIES = Path(__file__).parent.parent / "examples" / "queries"

HEAD = """# Example queries

Twenty questions and their answers, on the sample workspace that `make demo` loads. The files are in
[`examples/queries`](../examples/queries). To run one on your own data:

```bash
cd examples/queries
duckdb -cmd "USE tracker" ../../pivotal_tracker.duckdb < 03_most_reviews.sql
```

or paste it into the *Inspect* page of the [dashboard](dashboard.md). `duckdb` is DuckDB's
[command line](https://duckdb.org/docs/stable/clients/cli/overview). Most of the queries read the
[views with the metrics](metrics.md). They are written for DuckDB; on other databases
`GROUP BY ALL`, `QUALIFY` and `FILTER` may need other words.
"""


def page(database: Path) -> str:
    """Return the page, with results from a database.

    Args:
        database: A DuckDB file with the sample in the dataset `tracker`.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("USE tracker; SET timezone = 'UTC'")
        files = sorted(QUERIES.glob("*.sql"))
        return "\n".join([HEAD, *(part for file in files for part in _section(file, connection))])


def _section(file: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    lines = file.read_text().splitlines()
    comments = [line.removeprefix("-- ") for line in lines if line.startswith("--")]
    question, *notes = comments
    query = "\n".join(lines[len(comments) :])
    yield f"## {question}\n"
    if notes:
        yield "\n".join(notes) + "\n"
    yield f"```sql\n{query}\n```\n"
    result = connection.sql(query)
    yield "\n".join(
        [
            "| " + " | ".join(result.columns) + " |",
            "|" + "---|" * len(result.columns),
            *("| " + " | ".join(map(_cell, row)) + " |" for row in result.fetchall()),
        ]
    )
    yield ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value).removesuffix("+00:00")
    return text.replace("|", "\\|").replace("\n", " ")
