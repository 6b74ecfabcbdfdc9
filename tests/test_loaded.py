"""How often a destination is asked what it holds: a query takes BigQuery a second."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pivotal_tracker import loaded, tables
from pivotal_tracker.loaded import KnownRows, Loaded
from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace

from .test_keeping_up import Mirror


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many queries were made of each table."""
    counted: Counter[str] = Counter()
    ask = Loaded._rows

    def counting(self: Loaded, table: str, *rest: Any) -> list[tuple[Any, ...]]:
        counted[table] += 1
        return ask(self, table, *rest)

    monkeypatch.setattr(Loaded, "_rows", counting)
    return counted


LOOKED_UP = ("stories", "labels", "epics", "activity")
GATHERED = ("project_memberships", "account_memberships", "people", "deleted_records")


@pytest.mark.parametrize("tells", ["what changed", "nothing"])
def test_many_changed_projects_are_looked_up_together(
    tells: str, tmp_path: Path, queries: Counter[str]
) -> None:
    workspace = made_up_workspace(projects=6, stories=6, activity=10, seed=3)
    with TrackerServer(workspace) as server:
        if tells == "nothing":
            server.behaviour.lacks |= {"since_version", "version"}
        mirror = Mirror(workspace, tmp_path, server)
        mirror.load(*LOOKED_UP, *GATHERED)
        for project in workspace.projects.values():
            workspace.edit_story(next(iter(project.stories)), name="Edited")
        queries.clear()
        mirror.load(*LOOKED_UP, *GATHERED)
        asked = {name: queries[name] for name in LOOKED_UP}
        assert all(1 <= number <= 2 for number in asked.values()), asked
        mirror.assert_exact(*LOOKED_UP, *GATHERED)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "ROWS_AT_ONCE", 10)
    sizes = {1: 4, 2: 4, 3: 4, 4: 40, 5: 1, 6: 0}

    class Destination:
        def __init__(self) -> None:
            self.asked: list[list[int]] = []

        def counts(self, _: str) -> dict[int, int]:
            return sizes

        def rows(self, *arguments: Any) -> list[tuple[Any, ...]]:
            self.asked.append(arguments[3])
            return [(p, f"{p}.{n}", f"hash of {n}") for p in arguments[3] for n in range(sizes[p])]

    destination = Destination()
    known = KnownRows(destination, tables.ACTIVITY, [1, 2, 3, 4, 5, 6])  # type: ignore[arg-type]
    for project_id in (1, 2, 3, 4, 5, 6, 4):
        assert len(known.of(project_id)) == sizes[project_id]
    assert destination.asked == [[1, 2], [3], [4], [5, 6], [4]]
