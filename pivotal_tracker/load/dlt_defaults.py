"""Defaults of dlt's settings that suit this source; users' settings override them."""

from __future__ import annotations

from typing import Any

import dlt

DEFAULTS: dict[str, dict[str, Any]] = {
    "runtime": {
        "request_timeout": 120,  # seconds; iterations of a large project take long to answer
        "request_max_attempts": 8,
        "request_backoff_factor": 1,  # waits of 1, 2, 4 … seconds between attempts
        "request_max_retry_delay": 300,
    },
    "extract": {
        "workers": 12,  # requests in flight
        "max_parallel_items": 24,  # pages in memory
    },
    "load": {
        # otherwise copies of merged rows stay in the database, and double its size
        "truncate_staging_dataset": True,
    },
    "data_writer": {
        # files between dlt's steps stay on this machine: compression costs more than it saves
        "disable_compression": True,
        "file_max_items": 30_000,  # rows per file: DuckDB has each file that it loads in memory
    },
}


def apply_dlt_defaults() -> None:
    """Set the settings in `DEFAULTS`, unless the environment or dlt's files set them."""
    # not as a provider of their own: dlt would look up every setting there too, which took a sixth
    # of a small load
    for section, settings in DEFAULTS.items():
        for name, value in settings.items():
            if dlt.config.get(f"{section}.{name}") is None:
                dlt.config[f"{section}.{name}"] = value
