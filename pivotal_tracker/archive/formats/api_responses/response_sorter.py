"""Sort the contents of API responses into records and parts of records, wrapped or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ....records import Record, record_key, without_secrets
from ....tables import ARCHIVE_TABLES
from ...accounting import LoadAccounting
from ...merging.deletions import deleted_by
from ...merging.nested_people import add_person_ids, person_id, person_record
from ...merging.normalize import OnReject, normalize_record
from ...merging.record_merger import RecordMerger
from ...records import (
    CHILDREN,
    ID_COLUMNS,
    nested_rows_of,
    parse_id,
    rows_of,
    table_for_record,
)
from . import cassettes
from .json_text import parse
from .provenance import UNKNOWN, Provenance, record_replaced
from .wrappers import is_empty, is_history, is_interaction, is_record, is_response, unwrap_envelope

_TABLES_WITHOUT_PROJECT = frozenset(
    {"projects", "people", "workspaces", "accounts", "account_memberships"}
)
_REFERENCE = frozenset({"kind", "id", "name"})
"""The attributes of a project in another record that refers to it."""

_ROOT_LISTS = ("epics", "labels", "memberships", "stories", "iterations", "releases")


class ResponseSorter:
    """Adds the records of responses to a `RecordMerger`.

    Args:
        merger: Receives the records.
        accounting: Counts the rows read and left out.
    """

    def __init__(self, merger: RecordMerger, accounting: LoadAccounting) -> None:
        self._merger = merger
        self._accounting = accounting

    def add(self, value: Any, origin: Provenance) -> None:
        """Add a value of a JSON file: a record, a list, an envelope or an interaction."""
        if isinstance(value, list):
            for item in value:
                self.add(item, origin)
        elif isinstance(value, dict):
            self._add_object(value, origin)
        elif value is not None:
            self._leave_out(origin, UNKNOWN, "it is not a record")

    def _add_object(self, value: Record, origin: Provenance) -> None:
        if is_interaction(value):
            self._interaction(value, origin)
        elif is_history(value):
            self._history(value, origin)
        elif is_record(value, origin):
            self._record(value, origin)
        elif not is_response(value, origin):
            if not is_empty(value):
                self._record(value, origin)
        else:
            for item, its_origin in unwrap_envelope(value, origin):
                self.add(item, its_origin)

    def _interaction(self, interaction: Record, origin: Provenance) -> None:
        try:
            response = cassettes.parse_response(interaction)
            here = origin.with_request_path(response.path, response.seen_at)
            here = here.at(f"{origin.where}, {response.path.split('?')[0]}")
            if response.is_deletion:
                self._delete(response.path, here)
                return
            if not response.body.strip():
                return
            body, replaced = parse(response.body)
        except cassettes.NoResponseError as error:
            self._leave_out(origin, "responses", str(error))
        except ValueError:
            reason = "its body is not JSON"
            self._accounting.reject_row(origin.source, "responses", reason, origin.where)
        else:
            record_replaced(self._accounting, origin, replaced)
            self.add(body, here)

    def _delete(self, path: str, origin: Provenance) -> None:
        """Remove what a recorded request deleted from the records added before."""
        deleted = deleted_by(path)
        if deleted is None:
            self._leave_out(origin, "responses", "it deletes something that no table contains")
        else:
            self._merger.delete(deleted, origin.source, origin.seen_at)

    def _leave_out(self, origin: Provenance, table: str, reason: str, rows: int = 1) -> None:
        self._accounting.read(origin.source, table, rows)
        self._accounting.leave_out(origin.source, table, reason, origin.where, rows)

    def _on_reject(self, origin: Provenance) -> OnReject:
        return lambda table, reason: self._leave_out(origin, table, reason)

    def _record(self, record: Record, origin: Provenance) -> None:
        kind = record.get("kind")
        target = table_for_record(record)
        is_of_story = origin.expected in ("owner_ids", "labels") and "stories" in origin.ids
        # owners outside of a story cannot be assigned to one
        if is_of_story or not (target or kind or origin.expected == "owner_ids"):
            target = origin.expected
        if is_of_story or target in CHILDREN:
            self._child(target, record, origin)
        elif target:
            self._root(target, record, origin)
        else:
            reason = f"no table has a {str(kind)[:40]!r}" if kind else "its kind is not known"
            self._leave_out(origin, UNKNOWN, reason)

    def _history(self, container: Record, origin: Provenance) -> None:
        """Add the rows of a `daily_history_container`, one record per day."""
        header, days = container.get("header"), container.get("data")
        if not isinstance(header, list) or not isinstance(days, list):
            self._leave_out(origin, "history_days", "it has no header or no data")
            return
        for day in days:
            record = dict(zip(map(str, header), day, strict=False)) if isinstance(day, list) else {}
            self._root("history_days", record, origin)

    # records that have a table of their own

    def _root(self, table: str, record: Record, origin: Provenance) -> None:
        record = _with_project(table, record, origin)
        expand = _EXPANDERS.get(table)
        if expand:
            expand(self, record, origin)
        add_person_ids(table, record)
        record = normalize_record(table, record, self._on_reject(origin))
        key = record_key(ARCHIVE_TABLES[table], record)
        if key is None or "" in (key if isinstance(key, tuple) else (key,)):
            self._leave_out(origin, table, "it has no id")
            for nested, count in nested_rows_of(table, record).items():
                self._leave_out(origin, nested, "the record that contains it has no id", count)
            return
        with self._counted(rows_of(table, record), origin):
            self._merger.add(table, key, record, origin.source, origin.seen_at)

    @contextmanager
    def _counted(self, rows: Mapping[str, int], origin: Provenance) -> Iterator[None]:
        """Count rows as read, and as left out if they cannot be stored as JSON."""
        for table, count in rows.items():
            self._accounting.read(origin.source, table, count)
        try:
            yield
        except ValueError as error:
            for table, count in rows.items():
                self._accounting.leave_out(origin.source, table, str(error), origin.where, count)

    def _expand_story(self, story: Record, origin: Provenance) -> None:
        """Add the ids of people that the request may have included as objects."""
        if "title" in story:
            # LiteTracker's name for it
            story.setdefault("name", story.pop("title"))
        for name in ("owner", "follower"):
            people = story.get(f"{name}s")
            if isinstance(people, list):
                ids = [person_id(person) for person in people if isinstance(person, dict)]
                # LiteTracker's own `owner_ids` are not reliable; its `owners` are
                story[f"{name}_ids"] = [number for number in ids if number is not None]

    def _expand_project(self, project: Record, origin: Provenance) -> None:
        """Add the records in lists that the request may have included in a project."""
        if "title" in project:
            project.setdefault("name", project.pop("title"))
        here = _in_project(project.get("id"), origin)
        for name in _ROOT_LISTS:
            if isinstance(project.get(name), list | dict):
                lists = {name: project.pop(name)}
                for items, its_origin in unwrap_envelope(lists, here):
                    self.add(items, its_origin)

    def _expand_stories(self, record: Record, origin: Provenance) -> None:
        """Add the stories in an iteration or a release as records, and keep their ids in it."""
        stories = record.pop("stories", None)
        if isinstance(stories, list):
            here = _in_project(record.get("project_id"), origin)
            self.add(stories, replace(here, expected="stories"))
            record.setdefault("story_ids", [s.get("id") for s in stories if isinstance(s, dict)])

    def _expand_workspace(self, workspace: Record, origin: Provenance) -> None:
        projects = workspace.pop("projects", None)
        if isinstance(projects, list):
            members = [p for p in projects if isinstance(p, dict)]
            workspace.setdefault("project_ids", [p.get("id") for p in members])
            for project in members:
                if project.keys() <= _REFERENCE:
                    self._merger.derive_project(project, origin.source)
                else:
                    self.add(project, replace(origin, expected="projects"))

    def _expand_activity(self, activity: Record, origin: Provenance) -> None:
        project = activity.get("project")
        if isinstance(project, dict):
            activity.setdefault("project_id", project.get("id"))
        if not activity.get("guid") and {"project_id", "project_version"} <= activity.keys():
            # Tracker makes guids like this
            activity["guid"] = f"{activity['project_id']}_{activity['project_version']}"

    def _expand_person(self, person: Record, origin: Provenance) -> None:
        """Keep only the public attributes of `/me`."""
        if person.get("kind") == "me":
            members = person_record(person, person.get("id"))
            person.clear()
            person |= members

    # parts of stories and epics

    def _child(self, attribute: str, record: Record, origin: Provenance) -> None:
        table, parent_id = _parent(record, origin)
        add_person_ids("", record)
        if attribute == "owner_ids":
            self._root("people", record, replace(origin, expected="people"))
        elif attribute == "labels":
            ids = {"projects": origin.ids["projects"]} if "projects" in origin.ids else {}
            self._root("labels", record, replace(origin, expected="labels", ids=ids))
        if attribute.endswith("_attachments"):
            comment_id = origin.ids.get("comments", parse_id(record.get("comment_id")))
            if comment_id is None:
                reason = "it does not name the comment that it belongs to"
                self._leave_out(origin, f"{table}__comments__{attribute}", reason)
                return
            attribute, record = "comments", {"id": comment_id, attribute: [record]}
        if parent_id is None:
            reason = "it does not name the story or epic that it belongs to"
            self._leave_out(origin, f"{table}__{attribute}", reason)
            return
        self._part(table, parent_id, attribute, record, origin)

    def _part(
        self, table: str, parent_id: int, attribute: str, record: Record, origin: Provenance
    ) -> None:
        if attribute == "cycle_time_details":
            part: Record = {attribute: without_secrets(record)}
        else:
            items = [record.get("id")] if attribute == "owner_ids" else [record]
            # the parent's id is part of the key of an item without an id
            part = normalize_record(
                table, {"id": parent_id, attribute: items}, self._on_reject(origin)
            )
            del part["id"]
        with self._counted(nested_rows_of(table, part), origin):
            self._merger.add_fragment(table, parent_id, part, origin.source, origin.seen_at)


_EXPANDERS = {
    "stories": ResponseSorter._expand_story,
    "projects": ResponseSorter._expand_project,
    "iterations": ResponseSorter._expand_stories,
    "releases": ResponseSorter._expand_stories,
    "workspaces": ResponseSorter._expand_workspace,
    "accounts": ResponseSorter._expand_workspace,
    "activity": ResponseSorter._expand_activity,
    "people": ResponseSorter._expand_person,
}


def _in_project(number: Any, origin: Provenance) -> Provenance:
    """Return the provenance of records inside a project, by its id."""
    known = parse_id(number)
    return origin if known is None else replace(origin, ids={**origin.ids, "projects": known})


def _with_project(table: str, record: Record, origin: Provenance) -> Record:
    """Return a copy of a record with the id of its project, if that is known."""
    if table in _TABLES_WITHOUT_PROJECT or record.get("project_id") is not None:
        return dict(record)
    project = record.get("project")
    inside = project.get("id") if isinstance(project, dict) else None
    project_id = origin.ids.get("projects") if inside is None else inside
    others = {name: value for name, value in record.items() if name != "project_id"}
    return others if project_id is None else {"project_id": project_id, **others}


def _parent(record: Record, origin: Provenance) -> tuple[str, int | None]:
    """Return the table and id of a child's parent, by its attributes or by the request's path."""
    for table, column in ID_COLUMNS.items():
        parent = record.get(column.removesuffix("_id"))
        inside = parent.get("id") if isinstance(parent, dict) else None
        number = parse_id(record.get(column, inside))
        if number is not None:
            return table, number
    for table in ("epics", "stories"):
        if table in origin.ids:
            return table, origin.ids[table]
    return "stories", None
