"""A lower bound for loading a CSV: DuckDB reads it, and dlt loads the rows unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import dlt
import duckdb
import pyarrow as pa

BATCH_SIZE = 10_000


def main(path: str) -> None:
    """Load a CSV into a DuckDB file in the current folder.

    Args:
        path: The CSV.
    """

    @dlt.resource(name="stories", primary_key="id", write_disposition="merge")
    def stories() -> Iterator[pa.RecordBatch]:
        with duckdb.connect() as connection:
            yield from connection.read_csv(path).fetch_arrow_reader(BATCH_SIZE)

    pipeline = dlt.pipeline("read_csv", destination="duckdb", dataset_name="tracker")
    pipeline.run(stories(), loader_file_format="parquet")


if __name__ == "__main__":
    main(sys.argv[1])
