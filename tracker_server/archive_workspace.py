"""A workspace read from archives. It contains what they contain, and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from pivotal_tracker import tables
from pivotal_tracker.archive import (
    Archive,
    ArchiveError,
    ArchiveRecord,
    LoadAccounting,
    Rank,
    open_archives,
    rank_of,
)

from .workspace import Project, Record, Workspace

_KEYS = {name: table.key for name, table in tables.PROJECT_TABLES.items()}
_TIMES = ("updated_at", "occurred_at")
_REQUIRED_TYPES: dict[str, type] = {
    **dict.fromkeys(("version", "project_version", "current_iteration_number", "label_id"), int),
    **dict.fromkeys((*_TIMES, "start", "finish"), datetime),
    "label": dict,
    "label_ids": list,
}
"""The types of the attributes that the server computes with: files may contain anything."""

Key = tuple[Any, ...]
"""The values of the key columns of a record."""


@dataclass
class ArchiveWorkspace:
    """The workspace of some archives, for as long as the `with` block lasts.

    Args:
        paths: Files and folders, as for `pivotal_tracker_archive`.

    Attributes:
        workspace: The workspace. If there are several copies of a record, it has the latest.
        warnings: One line for each thing that could not be read or served.
    """

    paths: Iterable[str | Path]
    workspace: Workspace = field(init=False)
    warnings: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Read the archives.

        Raises:
            ArchiveError: Nothing can be served.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tracker_server-"))
            builder = WorkspaceBuilder(FileContents(Path(folder)))
            opened = open_archives(self.paths)
            self.warnings += [f"{name}: {reason}" for name, reason in opened.unread.items()]
            self.warnings += [f"{name}: ignored (not an archive)" for name in opened.ignored]
            for archive in opened.archives:
                self._read(archive, builder)
            self.workspace = builder.build()
            self.warnings += builder.damaged_files
            if builder.without_project:
                self.warnings.append(
                    f"{builder.without_project:,} records are not served: they have no project"
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Delete the copies of attachments."""
        self._stack.close()

    def _read(self, archive: Archive, builder: WorkspaceBuilder) -> None:
        accounting = LoadAccounting()
        try:
            for entry in archive.read(accounting):
                builder.add(entry)
        except ArchiveError as error:
            if not builder.records:
                raise
            self.warnings.append(f"{archive.name}: {error}")
        for (source, table, reason), rejected in accounting.left_out.items():
            self.warnings.append(f"{source}: {rejected.rows:,} of {table} rejected: {reason}")


class FileContents(MutableMapping[int, bytes]):
    """The bytes of attachments by id, kept in a folder because memory may be too small."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: set[int] = set()

    def add(self, attachment_id: int, content: Callable[[], BinaryIO]) -> None:
        """Copy a file from its archive."""
        with content() as source, self._path(attachment_id).open("wb") as copy:
            shutil.copyfileobj(source, copy)
        self._ids.add(attachment_id)

    def _path(self, attachment_id: int) -> Path:
        return self._folder / str(attachment_id)

    def __getitem__(self, attachment_id: int) -> bytes:
        if attachment_id not in self._ids:
            raise KeyError(attachment_id)
        return self._path(attachment_id).read_bytes()

    def __setitem__(self, attachment_id: int, content: bytes) -> None:
        self._path(attachment_id).write_bytes(content)
        self._ids.add(attachment_id)

    def __delitem__(self, attachment_id: int) -> None:
        self._ids.remove(attachment_id)
        self._path(attachment_id).unlink()

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class WorkspaceBuilder:
    """The records of all archives, the best copy of each.

    Attributes:
        records: By table and key, in the order in which they were first read.
        without_project: The number of records that belong to no project.
        damaged_files: One line for each file that cannot be copied.
    """

    def __init__(self, attachments: FileContents) -> None:
        self.records: defaultdict[str, dict[Key, Record]] = defaultdict(dict)
        self.without_project = 0
        self.damaged_files: list[str] = []
        self._attachments = attachments
        self._ranks: dict[tuple[str, Key], Rank] = {}

    def add(self, entry: ArchiveRecord) -> None:
        """Add a record if it is the best copy so far."""
        key: Key = tuple(entry.record.get(name) for name in _KEYS.get(entry.table, ("id",)))
        rank = rank_of(entry.record, entry.source)
        if rank <= self._ranks.get((entry.table, key), Rank(-(2**63), "", -1)):
            return
        if entry.content is not None and not self._copy(int(entry.record["id"]), entry.content):
            return
        self._ranks[entry.table, key] = rank
        self.records[entry.table][key] = {
            name: valid
            for name, value in entry.record.items()
            if (name == "_position" or not name.startswith("_"))
            and (valid := _valid_value(name, value)) is not None
        }

    def _copy(self, attachment_id: int, content: Callable[[], BinaryIO]) -> bool:
        """Copy a file, and return whether it is intact."""
        try:
            self._attachments.add(attachment_id, content)
        except ArchiveError as error:
            self.damaged_files.append(str(error))
            return False
        return True

    def build(self) -> Workspace:
        """Make the workspace."""
        projects = {record["id"]: record for record in self._all("projects")}
        by_project: dict[int, dict[str, list[Record]]] = {}
        for table in tables.PROJECT_TABLES:
            for record in self._all(table):
                project_id = _project_of(record)
                if project_id is None:
                    self.without_project += 1
                    continue
                projects.setdefault(project_id, {"id": project_id})
                by_project.setdefault(project_id, defaultdict(list))[table].append(record)
        return Workspace(
            me=_me(projects.values()),
            now=self._now(),
            people={person["id"]: person for person in self._all("people")},
            projects={
                project_id: _project(record, by_project.get(project_id, {}))
                for project_id, record in projects.items()
            },
            accounts=_by_id(self._all("accounts")),
            account_memberships=_by_id(map(_with_person_id, self._all("account_memberships"))),
            workspaces=_by_id(self._all("workspaces")),
            attachments=self._attachments,
            is_recording=True,
        )

    def _all(self, table: str) -> Iterator[Record]:
        yield from self.records[table].values()

    def _now(self) -> datetime:
        """Return the time of the latest event, which is the current time of an archive."""
        times = (r.get(n) for rs in self.records.values() for r in rs.values() for n in _TIMES)
        last = max((t for t in times if isinstance(t, str)), default="")
        try:
            latest = datetime.fromisoformat(last)
        except ValueError:
            return datetime.now(UTC)
        return latest if latest.tzinfo else latest.replace(tzinfo=UTC)


def _project(record: Record, lists: dict[str, list[Record]]) -> Project:
    labels = _by_id(lists.get("labels", ()))
    activity = lists.get("activity", [])
    return Project(
        record=record,
        stories=_by_id(_with_label_ids(story, labels) for story in lists.get("stories", ())),
        epics=_by_id(_with_label_id(epic, labels) for epic in lists.get("epics", ())),
        labels=labels,
        memberships=_by_id(map(_with_person_id, lists.get("project_memberships", ()))),
        review_types=_by_id(lists.get("review_types", ())),
        activity=sorted(
            activity, key=lambda one: (one.get("project_version", 0), str(one.get("occurred_at")))
        ),
        iterations=sorted(lists.get("iterations", ()), key=lambda one: int(one["number"])),
        history_days=_container(lists.get("history_days", [])),
        releases=_by_id(_with_label_ids(one, labels) for one in lists.get("releases", ())),
    )


def _valid_value(name: str, value: Any) -> Any:
    """Return a value that the server can compute with; None if this one is invalid."""
    kind = _REQUIRED_TYPES.get(name)
    if kind is None:
        return value
    if kind is not datetime:
        return value if type(value) is kind else None
    try:
        if type(value) is int:
            # the API's `date_format=millis`
            return datetime.fromtimestamp(value / 1000, UTC).isoformat().replace("+00:00", "Z")
        datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return value


def _by_id(records: Iterable[Record]) -> dict[int, Record]:
    return {record["id"]: record for record in records}


def _project_of(record: Record) -> int | None:
    project = record.get("project")
    inner = project.get("id") if isinstance(project, dict) else None
    project_id = record.get("project_id", inner)
    return project_id if isinstance(project_id, int) else None


def _with_label_ids(record: Record, labels: dict[int, Record]) -> Record:
    """Add the ids of a record's labels; keep the nested labels only if they differ from those."""
    nested = record.get("labels")
    if not isinstance(nested, list):
        return {"label_ids": [], **record}
    kept = {n: v for n, v in record.items() if n != "labels"} | {"label_ids": _ids(nested)}
    is_known = all(labels.get(label_id) in nested for label_id in kept["label_ids"])
    if is_known and len(kept["label_ids"]) == len(nested):
        return kept
    return kept | {"labels": nested}


def _with_label_id(epic: Record, labels: dict[int, Record]) -> Record:
    nested = epic.get("label")
    ids = _ids([nested])
    kept = {"label_id": ids[0] if ids else epic.get("label_id"), **epic}
    if ids and labels.get(ids[0]) == nested:
        kept.pop("label")
    return kept


def _with_person_id(membership: Record) -> Record:
    ids = _ids([membership.get("person")])
    return membership | ({"person_id": ids[0]} if ids else {})


def _ids(records: list[Any]) -> list[int]:
    return [r["id"] for r in records if isinstance(r, dict) and isinstance(r.get("id"), int)]


def _container(days: list[Record]) -> Record:
    """Return days that were recorded one by one as a `daily_history_container`."""
    header = dict.fromkeys(["date", *(n for day in days for n in day if n != "project_id")])
    ordered = sorted(days, key=lambda day: str(day["date"]))
    return {
        "kind": "daily_history_container",
        "header": list(header),
        "data": [[day.get(name) for name in header] for day in ordered],
    }


def _me(projects: Iterable[Record]) -> Record:
    """Return the owner of the token: archives do not name them, but they may read everything."""
    names = {p["id"]: {"project_name": p["name"]} if "name" in p else {} for p in projects}
    summary = "membership_summary"
    return {
        "kind": "me",
        "projects": [{"kind": summary, "project_id": one, **name} for one, name in names.items()],
    }
