"""The installed wheel, and the copy that `dlt init` makes, work in an empty folder."""

from __future__ import annotations

import email
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from packaging.requirements import Requirement

from pivotal_tracker import __version__
from tracker_server import TrackerServer

from ..support.command import ROOT, Command
from ..support.forking import ForkServer, wait_for
from ..support.project_files import project_files
from ..support.truth import assert_tables_equal, comparable, loaded_tables, served_tables

PROGRAMS = "pivotal_tracker_programs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REPOSITORY = "https://example.com/owner/repository"


@dataclass
class Installed:
    """The wheel, installed without its dependencies."""

    wheel: Path
    folder: Path
    fork_server: ForkServer

    def run(
        self,
        command: Command,
        *options: str,
        path: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the console script with only the installed wheel.

        Args:
            command: Where to run it.
            options: Its options.
            path: Folders that Python looks for modules in first.
        """
        return subprocess.run(
            [str(self.folder / "bin" / "pivotal-tracker"), *options],
            cwd=command.folder,
            env=command.environment({"PYTHONPATH": ":".join([*path, str(self.folder)])}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def forked(
        self, command: Command, *options: str, script: str = "pivotal-tracker", first: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a console script after a line of Python, in a process that has imported libraries."""
        start = self.folder / "start.py"
        start.write_text(
            f"import runpy, sys\n{first}\n"
            f"sys.argv[0] = {str(self.folder / 'bin' / script)!r}\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        )
        line = [str(start), *options]
        return wait_for(self.fork_server.start(line, command.folder, command.environment()), 60)


def pip(*arguments: str) -> None:
    """Run pip, which must succeed."""
    line = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps"]
    environment = {**os.environ, "REPOSITORY_URL": REPOSITORY}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel with pip, and install it into a new folder."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(ROOT, folder / "dist")
    pip("install", str(wheel), "--target", str(folder / "site"))
    return Installed(wheel, folder / "site", fork_server)


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of a source tree into a folder."""
    pip("wheel", str(source), "--no-build-isolation", "--wheel-dir", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def bare(tmp_path: Path) -> Command:
    """A command in an empty folder, without the project's `.dlt`."""
    (tmp_path / "bare").mkdir()
    return Command(tmp_path / "bare")


def names_in(wheel: Path) -> set[str]:
    """Return the files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if ".dist-info/" not in n and ".pyc" not in n}


def requirements(file: str) -> set[Requirement]:
    """Return the requirements in a file."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return {Requirement(line) for line in lines if line}


def files_of(folder: str) -> set[str]:
    """Return the files of a folder of the project, without compiled Python."""
    return {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_wheel_contains_exactly_the_packages(installed: Installed) -> None:
    names = names_in(installed.wheel)
    programs = files_of("tracker_server") | files_of("tracker_dashboard")
    programs |= {".streamlit/config.toml", "pivotal_tracker_dashboard.py"}
    command = files_of("pivotal_tracker") | {"pivotal_tracker_pipeline.py"}
    assert names == command | {f"{PROGRAMS}/{name}" for name in programs}
    assert {"pivotal_tracker/py.typed", f"{PROGRAMS}/tracker_server/server.py"} <= names


def test_wheel_installs_only_names_that_start_with_pivotal_tracker(
    installed: Installed,
) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        roots = {name.partition("/")[0] for name in archive.namelist()}
    assert roots == {
        "pivotal_tracker",
        "pivotal_tracker_pipeline.py",
        PROGRAMS,
        f"pivotal_tracker_pipeline-{__version__}.dist-info",
    }


@pytest.mark.integration
def test_sdist_contains_the_project_without_secrets_and_passes_its_tests(
    installed: Installed, tmp_path: Path
) -> None:
    """A few of its tests run here; the job `distributions` of test.yml runs all of them."""
    build = "import sys, hatchling.build; print(hatchling.build.build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / file.name.removesuffix(".tar.gz")
    names = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert names - {"PKG-INFO"} == set(project_files()) - {".dlt/secrets.toml"}
    assert names_in(build_wheel(source, tmp_path)) == names_in(installed.wheel)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/project/test_docs.py"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_container_image_is_built_from_the_same_files_as_the_wheel(
    installed: Installed, tmp_path: Path
) -> None:
    first, *rest = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert first == "*"
    (tmp_path / "src").mkdir()
    for pattern in (line[1:] for line in rest if line.startswith("!")):
        assert not pattern.startswith(".") or pattern == ".streamlit/config.toml", "a token?"
        for path in ROOT.glob(pattern):
            there = tmp_path / "src" / path.relative_to(ROOT)
            there.parent.mkdir(exist_ok=True)
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, there)
    assert names_in(build_wheel(tmp_path / "src", tmp_path)) == names_in(installed.wheel)
    order = re.search(r'pip install .*"/src\[(.*)\]"', (ROOT / "deploy/Containerfile").read_text())
    assert order
    assert set(order[1].split(",")) <= set(EXTRAS)


def test_wheel_metadata_is_complete_and_its_links_are_absolute(
    installed: Installed,
) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == __version__
    assert sorted(metadata.get_all("Provides-Extra", [])) == sorted(EXTRAS)
    built_from = ROOT / "PKG-INFO"
    if built_from.exists() and "\nProject-URL: " not in built_from.read_text():
        pytest.skip("this sdist was built without the address of the project")
    # PyPI shows the description alone, where a relative link leads nowhere
    text = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 5
    assert [target for target in targets if not re.match(r"https://|#", target)] == []
    assert f"({REPOSITORY}/blob/v{__version__}/docs/files.md)" in text
    assert f"({REPOSITORY}/raw/v{__version__}/docs/images/dashboard-overview.png)" in text
    assert f"Homepage, {REPOSITORY}" in metadata.get_all("Project-URL", [])


def test_requirements_txt_equals_the_package_with_its_server_extra() -> None:
    package = {Requirement(text) for text in PROJECT["dependencies"] + EXTRAS["server"]}
    assert requirements("requirements.txt") == package


def test_requirements_of_the_source_folder_equal_those_of_the_package() -> None:
    whole = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    for requirement in requirements("pivotal_tracker/requirements.txt"):
        assert not requirement.extras
        assert requirement.specifier == whole[requirement.name]


def test_installed_command_loads_from_an_empty_folder(
    installed: Installed, bare: Command, server: TrackerServer
) -> None:
    """One table is enough: other tests check that the wheel has all files."""
    bare.base_url, bare.api_token = server.url, server.workspace.me["api_token"]
    result = installed.run(bare, "--resource", "labels")
    assert result.returncode == 0, result.stderr
    assert comparable(bare.tables()["labels"]) == comparable(served_tables(server)["labels"])
    assert "Views: " in result.stdout
    dashboard = installed.folder / "bin" / "pivotal-tracker-dashboard"
    assert result.stdout.endswith(f"In the browser: {dashboard}\n")
    assert "usage: pivotal-tracker" in installed.forked(bare, "--help").stdout


def test_interrupt_during_imports_of_the_installed_command_prints_one_line(
    installed: Installed, bare: Command, interruption_in_dlt: Path
) -> None:
    result = installed.run(bare, "--sample", path=(str(interruption_in_dlt),))
    assert result.returncode == 1
    assert result.stderr == "pivotal_tracker: Interrupted before anything was read.\n"


def test_installed_command_loads_the_sample(installed: Installed, bare: Command) -> None:
    result = installed.forked(bare, "--sample", "--resource", "labels", "--no-views")
    assert result.returncode == 0, result.stderr
    with duckdb.connect(str(bare.folder / "pivotal_tracker_sample.duckdb")) as connection:
        assert connection.table("tracker.labels").fetchone()


def test_sample_without_server_extra_fails_with_one_line(
    installed: Installed, bare: Command
) -> None:
    result = installed.forked(bare, "--sample", first="sys.modules['aiohttp'] = None")
    assert result.returncode == 1
    assert result.stderr.startswith("pivotal_tracker: --sample needs")
    assert result.stderr.count("\n") == 1
    assert "[server]" in result.stderr


def test_installed_dashboard_listens_on_loopback_only(installed: Installed, bare: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (bare.folder / "output").open("w") as output:
        dashboard = subprocess.Popen(
            [
                str(installed.folder / "bin" / "pivotal-tracker-dashboard"),
                *("--server.headless", "true", "--server.port", str(port)),
            ],
            cwd=bare.folder,
            env=bare.environment({"PYTHONPATH": str(installed.folder)}),
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + 30
        while f"127.0.0.1:{port}" not in (text := (bare.folder / "output").read_text()):
            assert dashboard.poll() is None, text
            assert time.monotonic() < until, text
            time.sleep(0.1)
        assert "Network URL" not in text
    finally:
        dashboard.terminate()
        dashboard.wait(10)


def test_dashboard_without_its_extra_fails_with_one_line(
    installed: Installed, bare: Command
) -> None:
    result = installed.forked(
        bare, script="pivotal-tracker-dashboard", first="sys.modules['streamlit'] = None"
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "[dashboard]" in result.stderr


def test_user_settings_override_the_defaults_of_the_source(
    bare: Command, fork_server: ForkServer
) -> None:
    script = bare.folder / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from pivotal_tracker.load.dlt_defaults import apply_dlt_defaults; import dlt; "
        "apply_dlt_defaults(); "
        "apply_dlt_defaults(); print(dlt.config['extract.workers'], dlt.config['load.workers'], "
        "dlt.config['extract.max_parallel_items'], dlt.config['runtime.request_max_attempts'])"
    )
    (bare.folder / ".dlt").mkdir()
    (bare.folder / ".dlt" / "config.toml").write_text(
        "[load]\nworkers = 5\n[runtime]\nrequest_max_attempts = 3\n"
    )
    environment = bare.environment({"EXTRACT__WORKERS": "7"})
    result = wait_for(fork_server.start([str(script)], bare.folder, environment), 60)
    assert result.stdout == "7 5 24 3\n", result.stderr


def test_dlt_init_copies_the_source(
    bare: Command, server: TrackerServer, fork_server: ForkServer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(
        ["make", "--silent", "verified-source", f"DIR={copy}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    bare.base_url, bare.api_token = server.url, server.workspace.me["api_token"]

    def run(*line: str) -> None:
        done = wait_for(fork_server.start(line, bare.folder, bare.environment()), 60)
        assert done.returncode == 0, (done.stdout, done.stderr)

    dlt_command = str(Path(sys.executable).with_name("dlt"))
    run(
        dlt_command,
        "--non-interactive",
        "init",
        "pivotal_tracker",
        "duckdb",
        "--location",
        str(copy),
    )
    assert "api_token" in (bare.folder / ".dlt" / "secrets.toml").read_text()
    assert "base_url" in (bare.folder / ".dlt" / "config.toml").read_text()
    required = {r.name: r.specifier for r in requirements(str(bare.folder / "requirements.txt"))}
    ours = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    for name in ("duckdb", "sqlglot", "pandas"):  # dlt reads datasets with them
        assert required[name] == ours[name]
    run("pivotal_tracker_pipeline.py")
    assert_tables_equal(loaded_tables(bare.database), served_tables(server))
    (bare.folder / "read.py").write_text(
        "import dlt\n"
        "frame = dlt.attach('pivotal_tracker').dataset().stories.df()\n"
        "assert len(frame), frame\n"
    )
    run("read.py")
