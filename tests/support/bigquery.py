"""The tests' own BigQuery emulator, in its own virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from .postgres import _free_port
from .truth import Tables

PROJECT = "tests"
_ENVIRONMENT = Path(__file__).parents[2] / ".venv-bigquery-emulator"
_START = Path(__file__).with_name("start_emulator.py")
_EXTENSION = "extensions/v1.5.5/spatial.duckdb_extension"


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an emulator for the session; yield its URL."""
    environment, home = _ENVIRONMENT, tmp_path_factory.mktemp("emulator")
    if not (environment / "ready").exists():
        pytest.skip("there is no emulator of BigQuery: `make emulator` installs it")
    # otherwise it would download the extension
    (source,) = environment.glob(f"lib/python*/site-packages/duckdb_extension_spatial/{_EXTENSION}")
    platform = "linux_amd64" if os.uname().machine == "x86_64" else "linux_arm64"
    place = home / ".duckdb" / "extensions" / "v1.5.5" / platform
    place.mkdir(parents=True)
    shutil.copy(source, place)
    port, log = _free_port(), home / "log"
    line = [str(environment / "bin" / "python"), str(_START), "start"]
    line += ["--rest-port", str(port), "--grpc-port", "0", "--project", PROJECT]
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, env={**os.environ, "HOME": str(home)}, stdout=output, stderr=output
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            requests.get(f"{url}/bigquery/v2/projects/{PROJECT}/datasets", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    pytest.skip(f"the BigQuery emulator does not start: {log.read_text()[-300:]}")


def bigquery_environment(url: str) -> dict[str, str]:
    """Return the environment that points the command at an emulator."""
    credentials = "DESTINATION__BIGQUERY__CREDENTIALS__"
    return {
        "BIGQUERY_EMULATOR_HOST": url,
        f"{credentials}PROJECT_ID": PROJECT,
        f"{credentials}CLIENT_EMAIL": "tests@tests.example",
        f"{credentials}PRIVATE_KEY": "none",
        # it does not decompress uploads
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        "PYTHONPATH": str(Path(__file__).parent / "without_credentials"),
    }


def bigquery_tables(client: Any, dataset: str) -> Tables:
    """Return every row of every table of a dataset, without dlt's own tables."""
    return {
        table.table_id: [
            dict(row.items())
            # not list_rows: the emulator's lacks columns that were added
            for row in client.query_and_wait(f"SELECT * FROM `{table.reference}`")  # noqa: S608
        ]
        for table in client.list_tables(dataset)
        if table.table_type == "TABLE" and not table.table_id.startswith("_dlt")
    }
