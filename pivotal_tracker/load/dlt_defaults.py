"""Settings of dlt that suit this source, in force wherever nobody set others."""

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
        "workers": 12,  # requests under way at once
        "max_parallel_items": 24,  # pages held in memory at once
    },
    "load": {
        # else the copies of merged rows stay in the database, and double its file
        "truncate_staging_dataset": True,
    },
    "data_writer": {
        # files between dlt's steps stay on this machine: zipping costs more than it saves
        "disable_compression": True,
        "file_max_items": 30_000,  # rows a file: what DuckDB holds in memory of each that it loads
    },
}


def set_defaults() -> None:
    """Gives dlt the settings in `DEFAULTS`; the environment and dlt's files go before them."""
    # among dlt's own, not as a provider beside them: dlt would look everything up there, too, which
    # took a sixth of a small load
    for section, settings in DEFAULTS.items():
        for name, value in settings.items():
            if dlt.config.get(f"{section}.{name}") is None:
                dlt.config[f"{section}.{name}"] = value
