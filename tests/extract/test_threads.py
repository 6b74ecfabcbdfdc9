"""Requests are sent in threads of dlt's pool; what they change is changed in dlt's own thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.api.client import TrackerClient
from pivotal_tracker.extract.list_reader import ProjectListReader
from pivotal_tracker.extract.resource_reader import ResourceReader
from tracker_server import Behaviour, TrackerServer
from tracker_server.sample import generate_workspace

CHANGES: dict[type, tuple[str, ...]] = {
    ResourceReader: (
        "add",
        "begin",
        "mark_missing",
        "record_attributes",
        "record_unsupported",
        "remember",
    ),
    ProjectListReader: ("add_records", "finish_list", "record_skipped"),
}


def test_readers_are_changed_in_dlts_own_thread_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    threads: dict[str, set[threading.Thread]] = {"requests": set(), "changes": set()}

    def watch(kind: type, name: str, what: str) -> None:
        function: Callable[..., Any] = getattr(kind, name)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            called.add(name)
            threads[what].add(threading.current_thread())
            return function(*args, **kwargs)

        monkeypatch.setattr(kind, name, watched)

    for kind, names in CHANGES.items():
        for name in names:
            watch(kind, name, "changes")
    watch(TrackerClient, "page", "requests")
    workspace = generate_workspace(projects=4, stories=30, activity=20, seed=8)
    with (
        TrackerServer(workspace) as server,
        duckdb.connect(str(tmp_path / "loaded.duckdb")) as connection,
    ):
        server.behaviour = Behaviour(
            unsupported_endpoints={"releases"}, forbidden_endpoints={"labels"}
        )
        pipeline = dlt.pipeline(
            "threads",
            destination=dlt.destinations.duckdb(connection),
            dataset_name="tracker",
            pipelines_dir=str(tmp_path / "dlt"),
        )
        pipeline.run(pivotal_tracker_source(workspace.me["api_token"], server.url))
        for project in workspace.projects.values():
            deleted, edited, *_ = project.stories
            workspace.delete_stories(deleted)
            workspace.edit_story(edited, name="Edited")
        pipeline.run(pivotal_tracker_source(workspace.me["api_token"], server.url))
    assert called == {"page", *(name for names in CHANGES.values() for name in names)}
    assert threads["changes"] == {threading.main_thread()}
    assert len(threads["requests"]) > 1
