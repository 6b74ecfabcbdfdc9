"""The tests' own Postgres server: made in a folder, started once, with a database per test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

_DEBIAN = Path("/usr/lib/postgresql")
_UNPRIVILEGED = "postgres"
_number = count(1)


def _programs() -> Path | None:
    """Return the folder with Postgres's programs, of the newest version."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    return max(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), default=None)


def _run(*line: str | Path, user: str | None) -> None:
    result = subprocess.run(line, user=user, capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 0, result.stderr or result.stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a server for the session; yield its DSN without the database."""
    programs = _programs()
    if programs is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql, or make system)")
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    if user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("Postgres does not run as root, and there is no user postgres")
    # not a folder of pytest: other users cannot read those
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, port = Path(name), _free_port()
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        _run(programs / "initdb", "-D", data, "-U", "tracker", "-A", "trust", "-N", user=user)
        settings = (
            f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c synchronous_commit=off "
            "-c full_page_writes=off"
        )
        control = (programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log")
        _run(*control, "-o", settings, "start", user=user)
        try:
            # dlt requires a password although none is needed
            yield f"postgresql://tracker:tracker@127.0.0.1:{port}"
        finally:
            _run(*control, "-m", "immediate", "stop", user=user)


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """Return the DSN of an empty database."""
    return new_database(f"{postgres_server}/postgres")


def new_database(like: str) -> str:
    """Copy a database without connections; return the DSN of the copy."""
    server, _, template = like.rpartition("/")
    name = f"test_{next(_number)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server}/{name}"


def drop_database(dsn: str) -> None:
    """Drop a database, even with open connections."""
    server, _, name = dsn.rpartition("/")
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: str, statement: str) -> None:
    import psycopg2

    connection = psycopg2.connect(f"{server}/template1")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()
