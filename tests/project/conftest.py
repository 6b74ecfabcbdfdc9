"""Fixtures: the sample and a CSV export, each loaded once, and the tools of `.venv-docs`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..support.command import ROOT, new_command
from ..support.forking import ForkServer

Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def sample_database(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DuckDB file of `make demo`; for reading only."""
    command = new_command(fork_server, tmp_path_factory.mktemp("sample") / "run")
    command.views = True
    result = command("--sample")
    assert result.returncode == 0, result.stderr
    return command.folder / "pivotal_tracker_sample.duckdb"


@pytest.fixture(scope="session")
def export_database(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DuckDB file of the example export; for reading only."""
    command = new_command(fork_server, tmp_path_factory.mktemp("export") / "run")
    command.views = True
    result = command(str(ROOT / "examples" / "tea_shop_20250425_1600.csv"))
    assert result.returncode == 0, result.stderr
    return command.database


@pytest.fixture
def docs_tool(tmp_path: Path) -> Tool:
    """Run a program of `.venv-docs` in an empty folder."""
    binaries = ROOT / ".venv-docs" / "bin"
    if not (binaries.parent / "ready").exists():
        pytest.skip("needs .venv-docs: make setup-docs")

    def run(name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries / name), *arguments],
            cwd=tmp_path,
            env={"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(tmp_path), **env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
