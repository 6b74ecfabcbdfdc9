"""The command line: options, output, progress, completion."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pivotal_tracker.cli import programs
from pivotal_tracker.cli.main import main
from pivotal_tracker.cli.options import parse_options
from pivotal_tracker.cli.programs import dashboard_command
from tracker_server import TrackerServer

from ..support.command import ROOT, Command

CSV = "Id,Title,Type,Current State\n1,A story,feature,unstarted\n2,Another,bug,accepted\n"


@pytest.fixture
def export(command: Command) -> Path:
    """Write a small export into the folder of the command."""
    file = command.folder / "my_project.csv"
    file.write_text(CSV)
    return file


def option_error(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message about invalid options, which is one line."""
    with pytest.raises(SystemExit) as exits:
        parse_options(arguments)
    assert exits.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("pivotal_tracker: ")
    assert output.err.count("\n") == 1
    return output.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--destinaton", "x"], "there is no option --destinaton. Did you mean --destination?"),
        (["--resource", "storis"], "there is no table storis. Did you mean stories?"),
        (["--resource", "Stories"], "there is no table Stories. Did you mean stories?"),
        (["--progress", "stesp"], "Did you mean steps?"),
        (["check"], "there is no file check. Did you mean --check?"),
        (["--resource", "xyzzy"], "There are: projects, stories,"),
        (["--project", "shop"], "shop is not the id of a project, which is a number"),
        (["--dataset", "pivotal_tracker"], "--dataset must not be called pivotal_tracker"),
        (["--resource", "labels", str(ROOT / "README.md")], "is a file. Put files before"),
        (["a.zip", "--full-refresh"], "--full-refresh does not go with files"),
        (["a.zip", "--shard", "1/2"], "--shard does not go with files"),
    ],
)
def test_invalid_option_fails_with_one_line_and_a_suggestion(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in option_error(arguments, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.zip", "b.csv", "--no-views"],
        ["--no-views", "a.zip", "b.csv"],
        ["a.zip", "--no-views", "b.csv"],
        ["--archive", "a.zip", "b.csv", "--no-views"],
        ["a.zip", "--archive", "b.csv", "--no-views"],
    ],
)
def test_files_may_be_anywhere_with_or_without_archive_option(arguments: list[str]) -> None:
    options = parse_options(arguments)
    assert (options.archive, options.no_views) == (["a.zip", "b.csv"], True)


def test_file_is_loaded_and_json_output_equals_the_summary(command: Command, export: Path) -> None:
    result = command(export.name, "--json", "--summary", "summary.json")
    assert result.returncode == 0, result.stderr
    assert len(command.tables()["stories"]) == 2
    printed = json.loads(result.stdout)
    assert printed == json.loads((command.folder / "summary.json").read_text())
    assert printed["tables"]["stories"]["new"] == 2
    assert printed["exit_code"] == 0


def test_check_and_failed_run_print_json(command: Command, export: Path) -> None:
    checked = json.loads(command("--check", "--json", export.name).stdout)
    assert [line for line in checked["findings"] if export.name in line]
    failed = command("--json", "missing.zip")
    assert failed.returncode == 1
    assert "missing.zip" in json.loads(failed.stdout)["reason"]


def run_in_terminal(command: Command, *options: str, **env: str) -> str:
    """Run the command in a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command.line(*options),
        cwd=command.folder,
        env=command.environment({"TERM": "xterm", **env}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        pass  # Linux reports the end of a terminal as an error
    finally:
        os.close(ours)
    process.wait(60)
    return shown.decode()


def test_steps_take_one_line_each_and_only_terminals_get_colours(
    command: Command, server: TrackerServer
) -> None:
    labels = ("--resource", "labels")
    server.behaviour.forbidden_projects = {next(iter(server.workspace.projects))}
    plain = command(*labels)
    assert plain.returncode == 3
    assert "\x1b" not in plain.stdout + plain.stderr
    steps = re.findall(r"^(\w+) .* s$", plain.stderr, re.MULTILINE)
    assert steps == ["Reading", "Preparing", "Loading"], plain.stderr

    shown = run_in_terminal(command, *labels, "--full-refresh")
    assert "\x1b[33mSkipped: project" in shown
    for step in steps:
        final_lines = [x for x in re.split(r"\r?\n", shown) if step in x]
        assert len(final_lines) == 1, "rewritten in place"

    uncoloured = run_in_terminal(command, *labels, "--full-refresh", NO_COLOR="1")
    assert "Skipped: project" in uncoloured
    assert "\x1b[3" not in uncoloured


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_offers_options_and_tables(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as exits:
        main(["--print-completion", shell])
    assert not exits.value.code
    script = capsys.readouterr().out
    assert "accept-deletions" in script
    if shell != "bash":
        return
    assert "history_days" in script
    (tmp_path / "completion.sh").write_text(
        f"{script}\nCOMP_WORDS=(pivotal-tracker --desti); COMP_CWORD=1\n"
        '_shtab_pivotal_tracker; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", tmp_path / "completion.sh"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "--destination", done.stderr


def test_dashboard_hint_uses_make_only_with_a_makefile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    assert dashboard_command() == "make dashboard"
    monkeypatch.chdir(tmp_path)
    assert "make" not in dashboard_command()
    monkeypatch.setattr(programs, "FOLDER", tmp_path)
    assert dashboard_command() == "", "the source alone has no dashboard"


def test_source_imports_without_aiohttp() -> None:
    script = "import sys; sys.modules['aiohttp'] = None; import pivotal_tracker"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_load_into_duckdb_imports_neither_pandas_nor_sqlalchemy(
    command: Command, export: Path
) -> None:
    script = (
        "import sys; from pivotal_tracker.cli.main import main\n"
        f"assert main([{export.name!r}, '--no-views']) == 0\n"
        "assert not {'pandas', 'sqlalchemy'} & sys.modules.keys()\n"
        "import pandas, sqlalchemy"
    )
    # a new interpreter: tests of the command are forked from one that has imported both
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=command.folder,
        env=command.environment({"PYTHONPATH": str(ROOT)}),
        check=True,
    )


def test_unknown_destination_fails_without_traceback(
    command: Command, server: TrackerServer
) -> None:
    result = command("--destination", "sandcastle")
    assert result.returncode == 1
    assert "sandcastle" in result.stderr
    assert "Traceback" not in result.stderr


def test_version_and_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for option, seen in (("--version", "dlt"), ("--help", "--full-refresh")):
        with pytest.raises(SystemExit) as exits:
            main([option])
        assert not exits.value.code
        assert seen in capsys.readouterr().out


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git repository")
def test_committed_secrets_file_has_only_a_placeholder() -> None:
    committed = subprocess.run(
        ["git", "show", "HEAD:.dlt/secrets.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'api_token = "please set me up!"' in committed.stdout


def test_log_level_and_shard_apply_before_dlt_starts(
    command: Command, server: TrackerServer
) -> None:
    shard = {"SOURCES__PIVOTAL_TRACKER__SHARD": "1/2"}
    result = command("--resource", "projects", "--verbose", env=shard)
    assert result.returncode == 0, result.stderr
    assert "|[INFO]|" in result.stderr
    assert (command.folder / "dlt" / "pipelines" / "pivotal_tracker_shard_1_of_2").is_dir()
    assert command("--check", env={"SOURCES__PIVOTAL_TRACKER__SHARD": "3/2"}).returncode == 1
