"""A workspace made of archives: what they recorded, and nothing that they did not."""

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

from pivotal_tracker.archive import (
    Archive,
    ArchiveError,
    Found,
    Rank,
    Tally,
    open_archives,
    rank_of,
)
from tracker_server.workspace import Project, Record, Workspace

_KEYS = {
    "activity": ("guid",),
    "iterations": ("project_id", "number"),
    "history_days": ("project_id", "date"),
}
_OF_PROJECTS = (
    "stories",
    "epics",
    "labels",
    "project_memberships",
    "releases",
    "iterations",
    "activity",
    "history_days",
    "review_types",
)
_TIMES = ("updated_at", "occurred_at")
_COUNTED_WITH: dict[str, type] = {
    **dict.fromkeys(("version", "project_version", "current_iteration_number", "label_id"), int),
    **dict.fromkeys((*_TIMES, "start", "finish"), datetime),
    "label": dict,
    "label_ids": list,
}
"""What the server reckons with, by what it has to be: files may hold anything in its place."""

Key = tuple[Any, ...]
"""The values of a record's key."""


@dataclass
class ArchivedWorkspace:
    """The workspace of some archives, for as long as the `with` block lasts.

    Args:
        paths: Files and folders, as `pivotal_tracker_archive` takes them.

    Attributes:
        workspace: What they hold; of several copies of a record the latest.
        remarks: What could not be read or placed, for people to read.

    Raises:
        ArchiveError: There is nothing that can be served.
    """

    paths: Iterable[str | Path]
    workspace: Workspace = field(init=False)
    remarks: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Reads the archives.

        Raises:
            ArchiveError: There is nothing that can be served.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tracker_server-"))
            gathered = Gathered(FileContents(Path(folder)))
            opened = open_archives(self.paths)
            self.remarks += [f"{name}: {reason}" for name, reason in opened.unread.items()]
            self.remarks += [f"{name}: not an archive, left alone" for name in opened.ignored]
            for archive in opened.archives:
                self._read(archive, gathered)
            self.workspace = gathered.workspace()
            self.remarks += gathered.damaged
            if gathered.homeless:
                self.remarks.append(
                    f"{gathered.homeless:,} records name no project and are not served"
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the disk back."""
        self._stack.close()

    def _read(self, archive: Archive, gathered: Gathered) -> None:
        tally = Tally()
        try:
            for found in archive.read(tally):
                gathered.take(found)
        except ArchiveError as error:
            if not gathered.records:
                raise
            self.remarks.append(f"{archive.name}: {error}")
        for (source, table, reason), noted in tally.left_out.items():
            self.remarks.append(f"{source}: {noted.rows:,} of {table} left out: {reason}")


class FileContents(MutableMapping[int, bytes]):
    """The bytes of attachments by id, in a folder: they may be more than memory holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: set[int] = set()

    def add(self, attachment_id: int, content: Callable[[], BinaryIO]) -> None:
        """Copies a file out of its archive."""
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


class Gathered:
    """The records of all archives, each in its best copy.

    Attributes:
        records: By table and key, in the order in which they were first met.
        homeless: How many belong to no project.
        damaged: What is wrong with files that cannot be copied.
    """

    def __init__(self, attachments: FileContents) -> None:
        self.records: defaultdict[str, dict[Key, Record]] = defaultdict(dict)
        self.homeless = 0
        self.damaged: list[str] = []
        self._attachments = attachments
        self._ranks: dict[tuple[str, Key], Rank] = {}

    def take(self, found: Found) -> None:
        """Takes a record, if it is the best copy so far."""
        key: Key = tuple(found.record.get(name) for name in _KEYS.get(found.table, ("id",)))
        if not all(isinstance(part, str | int) for part in key):
            return
        rank = rank_of(found.record, found.source)
        if rank <= self._ranks.get((found.table, key), Rank(-(2**63), "", -1)):
            return
        self._ranks[found.table, key] = rank
        if found.content is not None and not self._copy(int(found.record["id"]), found.content):
            return
        self.records[found.table][key] = {
            name: usable
            for name, value in found.record.items()
            if (name == "_position" or not name.startswith("_"))
            and (usable := _usable(name, value)) is not None
        }

    def _copy(self, attachment_id: int, content: Callable[[], BinaryIO]) -> bool:
        """Copies a file; one that is damaged costs no record that comes after it."""
        try:
            self._attachments.add(attachment_id, content)
        except ArchiveError as error:
            self.damaged.append(str(error))
            return False
        return True

    def workspace(self) -> Workspace:
        """Puts the records where a workspace has them."""
        projects = {record["id"]: record for record in self._all("projects")}
        by_project: dict[int, dict[str, list[Record]]] = {}
        for table in _OF_PROJECTS:
            for record in self._all(table):
                project_id = _project_of(record)
                if project_id is None:
                    self.homeless += 1
                    continue
                projects.setdefault(project_id, {"id": project_id})
                by_project.setdefault(project_id, defaultdict(list))[table].append(record)
        return Workspace(
            me=_me(projects.values()),
            now=self._now(),
            people={person["id"]: person for person in self._all("people")},
            projects={one: _project(r, by_project.get(one, {})) for one, r in projects.items()},
            accounts=_by_id(self._all("accounts")),
            account_memberships=_by_id(map(_with_person_id, self._all("account_memberships"))),
            workspaces=_by_id(self._all("workspaces")),
            attachments=self._attachments,
            as_recorded=True,
        )

    def _all(self, table: str) -> Iterator[Record]:
        yield from self.records[table].values()

    def _now(self) -> datetime:
        """When the last thing happened that is known of: in an archive, time stands still."""
        times = (r.get(n) for rs in self.records.values() for r in rs.values() for n in _TIMES)
        last = max((t for t in times if isinstance(t, str)), default="")
        try:
            moment = datetime.fromisoformat(last)
        except ValueError:
            return datetime.now(UTC)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _project(record: Record, held: dict[str, list[Record]]) -> Project:
    labels = _by_id(held.get("labels", ()))
    activity = held.get("activity", [])
    return Project(
        record=record,
        stories=_by_id(_with_label_ids(story, labels) for story in held.get("stories", ())),
        epics=_by_id(_with_label_id(epic, labels) for epic in held.get("epics", ())),
        labels=labels,
        memberships=_by_id(map(_with_person_id, held.get("project_memberships", ()))),
        review_types=_by_id(held.get("review_types", ())),
        activity=sorted(
            activity, key=lambda one: (one.get("project_version", 0), str(one.get("occurred_at")))
        ),
        iterations=sorted(held.get("iterations", ()), key=lambda one: int(one["number"])),
        history_days=_container(held.get("history_days", [])),
        releases=_by_id(_with_label_ids(one, labels) for one in held.get("releases", ())),
    )


def _usable(name: str, value: Any) -> Any:
    """The value as the server can reckon with it; None where it is none."""
    kind = _COUNTED_WITH.get(name)
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
    """The record with ids of its labels; with what it tells of them where that is all there is."""
    told = record.get("labels")
    if not isinstance(told, list):
        return {"label_ids": [], **record}
    kept = {n: v for n, v in record.items() if n != "labels"} | {"label_ids": _ids(told)}
    is_known = all(labels.get(label_id) in told for label_id in kept["label_ids"])
    return kept if is_known and len(kept["label_ids"]) == len(told) else kept | {"labels": told}


def _with_label_id(epic: Record, labels: dict[int, Record]) -> Record:
    told = epic.get("label")
    ids = _ids([told])
    kept = {"label_id": ids[0] if ids else epic.get("label_id"), **epic}
    if ids and labels.get(ids[0]) == told:
        kept.pop("label")
    return kept


def _with_person_id(membership: Record) -> Record:
    ids = _ids([membership.get("person")])
    return membership | ({"person_id": ids[0]} if ids else {})


def _ids(records: list[Any]) -> list[int]:
    return [r["id"] for r in records if isinstance(r, dict) and isinstance(r.get("id"), int)]


def _container(days: list[Record]) -> Record:
    """A `daily_history_container` of days that were recorded one by one."""
    header = dict.fromkeys(["date", *(n for day in days for n in day if n != "project_id")])
    ordered = sorted(days, key=lambda day: str(day["date"]))
    return {
        "kind": "daily_history_container",
        "header": list(header),
        "data": [[day.get(name) for name in header] for day in ordered],
    }


def _me(projects: Iterable[Record]) -> Record:
    """Whoever asks: no archive says who that is, but all may be read."""
    names = {p["id"]: {"project_name": p["name"]} if "name" in p else {} for p in projects}
    summary = "membership_summary"
    return {
        "kind": "me",
        "projects": [{"kind": summary, "project_id": one, **told} for one, told in names.items()],
    }
