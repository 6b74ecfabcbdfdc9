"""A response beyond a limit loses one list or record, and takes little memory and time."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tracker_server import TrackerServer
from tracker_server.faults import (
    DeepValue,
    ExtraAttributes,
    Fault,
    GzipBomb,
    LargeBody,
    SlowBody,
    TooManyRequests,
)

from ..support.command import Command
from ..support.truth import comparable, served_tables

LABELS = ("--resource", "labels", "releases")


def run(
    command: Command, exit_code: int, *options: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run the command, check its exit code, and return its summary."""
    result = command("--summary", "summary.json", *options, env=env)
    assert result.returncode == exit_code, result.stdout + result.stderr
    return command.summary() | {"stdout": result.stdout}


def limit(name: str, value: float) -> dict[str, str]:
    return {f"SOURCES__PIVOTAL_TRACKER__LIMITS__{name.upper()}": str(value)}


@pytest.mark.parametrize(
    ("fault", "env", "reason"),
    [
        (GzipBomb(), {}, "more than 100,000,000 bytes"),
        (LargeBody(), {}, "more than 100,000,000 bytes"),
        (LargeBody(size=10_000), limit("max_response_bytes", 9_000), "more than 9,000 bytes"),
        (
            SlowBody(),
            {**limit("max_request_seconds", 2), "RUNTIME__REQUEST_MAX_ATTEMPTS": "2"},
            "took more than 2 s",
        ),
        (TooManyRequests(retry_after=86_400), {}, "asks to wait 86,400 s"),
        (
            TooManyRequests(retry_after=1),
            limit("max_attempts_seconds", 2),
            "asks to wait 1 s",
        ),
    ],
    ids=repr,
)
def test_list_beyond_a_limit_is_skipped_and_the_rest_is_loaded(
    command: Command, server: TrackerServer, fault: Fault, env: dict[str, str], reason: str
) -> None:
    expected = served_tables(server)
    project, *_ = server.workspace.projects
    fault.endpoints, fault.projects = {"labels"}, {project}
    server.behaviour.faults = [fault]
    begin, before = time.monotonic(), _peak_memory_of_children()
    summary = run(command, 3, *LABELS, env=env)
    assert time.monotonic() - begin < 30
    assert max(_peak_memory_of_children() - before, 0) < 1_000_000
    (skipped,) = summary["skipped"]
    assert (skipped["table"], skipped["project_id"]) == ("labels", project)
    assert reason in skipped["reason"]
    tables = command.tables()
    assert comparable(tables["releases"]) == comparable(expected["releases"])
    others = [row for row in expected["labels"] if row["project_id"] != project]
    assert comparable(tables["labels"]) == comparable(others)


def _peak_memory_of_children() -> int:
    """Return the peak memory of the largest process that has ended, in kB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def test_new_attributes_beyond_the_limit_share_one_json_column(
    command: Command, server: TrackerServer
) -> None:
    """Attributes of labels, and of tasks in stories, in the first and in a later run."""
    project, *_ = server.workspace.projects.values()
    label_id = next(iter(project.labels))
    story = next(s for s in project.stories.values() if s["tasks"])
    task_id = story["tasks"][0]["id"]
    story["tasks"][0].update({f"extra_{n}": n for n in range(1, 3_001)})
    # a list would be a table of its own
    story["moods"] = [{f"mood_{n}": n for n in range(101)}, {"mood": "fine"}]
    server.behaviour.faults = [ExtraAttributes(record_ids={label_id}, endpoints={"labels"})]
    resources = ("--resource", "labels", "stories")
    for options in ((), ("--full-refresh",)):
        run(command, 0, *resources, *options)
        tables = command.tables()
        for name, key in (("labels", label_id), ("stories__tasks", task_id)):
            (row,) = [row for row in tables[name] if row["id"] == key]
            columns = {name: value for name, value in row.items() if name.startswith("extra_")}
            assert len(columns) == 100
            undeclared = json.loads(row["_undeclared"])
            assert {**columns, **undeclared} == {f"extra_{n}": n for n in range(1, 3_001)}
            others = [row for row in tables[name] if row["id"] != key]
            assert {row["_undeclared"] for row in others} == {None}
        (row,) = [row for row in tables["stories"] if row["id"] == story["id"]]
        assert json.loads(row["_undeclared"]) == {"moods": story["moods"]}
        assert "stories__moods" not in tables


def test_max_new_columns_can_be_lowered(command: Command, server: TrackerServer) -> None:
    label_id = next(iter(next(iter(server.workspace.projects.values())).labels))
    server.behaviour.faults = [ExtraAttributes(count=5, record_ids={label_id})]
    run(command, 0, "--resource", "labels", env=limit("max_new_columns", 2))
    (row,) = [row for row in command.tables()["labels"] if row["id"] == label_id]
    assert json.loads(row["_undeclared"]) == {f"extra_{n}": n for n in (3, 4, 5)}


def test_too_deeply_nested_record_is_rejected(command: Command, server: TrackerServer) -> None:
    first, second, third, *_ = next(iter(server.workspace.projects.values())).labels
    server.behaviour.faults = [
        DeepValue(attribute="name", depth=150, record_ids={first}),
        # each level would be a table, and the last one's name too long for a file
        DeepValue(attribute="deep", depth=99, record_ids={second}),
        DeepValue(attribute="name", depth=30, record_ids={third}),
    ]
    summary = run(command, 3, "--resource", "labels")
    assert summary["rejected"]["labels"].keys() == {str(first)}
    assert "100 nested lists and objects" in summary["rejected"]["labels"][str(first)]
    (row,) = [row for row in command.tables()["labels"] if row["id"] == second]
    assert row["_undeclared"].startswith('{"deep":[[[[')
    options = ("--resource", "labels", "--full-refresh")
    summary = run(command, 3, *options, env=limit("max_depth", 20))
    assert str(third) in summary["rejected"]["labels"]


def test_invalid_limit_is_reported(command: Command, server: TrackerServer) -> None:
    result = command("--resource", "labels", env=limit("max_depth", 0))
    assert result.returncode == 1
    assert result.stderr.endswith("limits.max_depth must be above 0, not 0.\n")
