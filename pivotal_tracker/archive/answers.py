"""Puts what the API answered where it belongs: records, parts of records, wrapped or bare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import cassettes
from .format import Record
from .gathering import Gathering
from .json_text import parsed
from .origin import UNKNOWN, Origin, note_replaced, unwrapped
from .records import (
    CHILDREN,
    COLLECTIONS,
    ID_COLUMNS,
    belongs_to,
    key_of,
    nested_rows_of,
    release_of,
    rows_of,
    whole_number,
)
from .tally import Tally
from .tidying import LeaveOut, tidied, without_secrets

_OF_A_PERSON = ("id", "name", "initials", "username", "email")
_ROOT_LISTS = ("epics", "labels", "memberships", "stories", "iterations", "releases")
_MOST_REMEMBERED = 100_000


class Answers:
    """Sorts the records of answers into a gathering.

    Args:
        gathering: Takes them.
        tally: Counts them, and what had to be left out.
    """

    def __init__(self, gathering: Gathering, tally: Tally) -> None:
        self._gathering = gathering
        self._tally = tally
        self._derived: set[int] = set()

    def place(self, value: Any, origin: Origin) -> None:
        """Places whatever a JSON file may hold: a record, a list, an envelope, an interaction."""
        if isinstance(value, list):
            for item in value:
                self.place(item, origin)
        elif isinstance(value, dict):
            self._place_object(value, origin)
        elif value is not None:
            self._leave_out(origin, UNKNOWN, "it is no record")

    def _place_object(self, value: Record, origin: Origin) -> None:
        if "request" in value and "response" in value:
            self._interaction(value, origin)
            return
        inner = unwrapped(value, origin)
        if inner is None:
            self._record(value, origin)
        else:
            for item, its_origin in inner:
                self.place(item, its_origin)

    def _interaction(self, interaction: Record, origin: Origin) -> None:
        try:
            answer = cassettes.answer(interaction)
            if not answer.body.strip():
                return
            body, replaced = parsed(answer.body)
        except cassettes.NoAnswerError as error:
            self._leave_out(origin, "answers", str(error))
        except ValueError:
            self._leave_out(origin, "answers", "its body is no JSON")
        else:
            note_replaced(self._tally, origin, replaced)
            here = origin.asked(answer.path, answer.seen_at)
            self.place(body, here.at(f"{origin.where}, {answer.path.split('?')[0]}"))

    def _leave_out(self, origin: Origin, table: str, reason: str) -> None:
        self._tally.read(origin.source, table)
        self._tally.leave_out(origin.source, table, reason, origin.where)

    def _leaver(self, origin: Origin) -> LeaveOut:
        return lambda table, reason: self._leave_out(origin, table, reason)

    def _record(self, record: Record, origin: Origin) -> None:
        kind = record.get("kind")
        if kind == "daily_history_container":
            self._history(record, origin)
            return
        place = belongs_to(record)
        is_of_story = origin.expected in ("owner_ids", "labels") and "stories" in origin.ids
        # nobody knows whose owners those outside of a story are
        if is_of_story or not (place or kind or origin.expected == "owner_ids"):
            place = origin.expected
        if is_of_story or place in CHILDREN:
            self._child(place, record, origin)
        elif place:
            self._root(place, record, origin)
        else:
            reason = f"no table holds a {str(kind)[:40]!r}" if kind else "it is of no known kind"
            self._leave_out(origin, UNKNOWN, reason)

    def _history(self, container: Record, origin: Origin) -> None:
        """The rows of a `daily_history_container`: one record a day, by the names in its header."""
        header, days = container.get("header"), container.get("data")
        if not isinstance(header, list) or not isinstance(days, list):
            self._leave_out(origin, "history_days", "it has no header or no data")
            return
        for day in days:
            record = dict(zip(map(str, header), day, strict=False)) if isinstance(day, list) else {}
            self._root("history_days", record, origin)

    # records that have a table of their own

    def _root(self, table: str, record: Record, origin: Origin) -> None:
        record = (
            {"project_id": origin.ids["projects"], **record}
            if ("projects" in origin.ids and table not in ("projects", "people", "workspaces"))
            else dict(record)
        )
        expand = _EXPANDED.get(table)
        if expand:
            expand(self, record, origin)
        record = tidied(table, record, self._leaver(origin))
        key = key_of(table, record)
        if key is None:
            self._leave_out(origin, table, "it has no id")
            self._leave_out_nested(table, record, origin, "what it belongs to has no id")
            return
        self._count(table, record, origin)
        try:
            self._gathering.add(table, key, record, origin.source, origin.seen_at)
        except ValueError as error:
            self._tally.leave_out(origin.source, table, str(error), origin.where)
            for nested, count in nested_rows_of(table, record).items():
                self._tally.leave_out(origin.source, nested, str(error), origin.where, count)
            return
        self._derive_from(table, record, origin)

    def _count(self, table: str, record: Record, origin: Origin) -> None:
        for name, count in rows_of(table, record).items():
            self._tally.read(origin.source, name, count)

    def _leave_out_nested(self, table: str, record: Record, origin: Origin, reason: str) -> None:
        for nested, count in nested_rows_of(table, record).items():
            self._tally.read(origin.source, nested, count)
            self._tally.leave_out(origin.source, nested, reason, origin.where, count)

    def _expand_story(self, story: Record, origin: Origin) -> None:
        """Ids in the place of the people that a request may have had embedded."""
        if "title" in story:
            # LiteTracker's word
            story.setdefault("name", story.pop("title"))
        for name in ("requested_by", "owned_by"):
            person = story.pop(name, None)
            if isinstance(person, dict):
                story.setdefault(f"{name}_id", self._person(person, origin))
        for name in ("owner", "follower"):
            people = story.pop(f"{name}s", None)
            if isinstance(people, list):
                ids = [self._person(p, origin) for p in people if isinstance(p, dict)]
                told = [i for i in ids if i is not None]
                # LiteTracker's own `owner_ids` are not to be trusted beside its owners
                story[f"{name}_ids"] = told

    def _person(self, person: Record, origin: Origin) -> int | None:
        """The id of a person embedded in a record, who is noted."""
        number = whole_number(person.get("id", person.get("user_id")))
        if number is not None and "name" in person:
            self._derive("people", number, _person(person, number), origin)
        return number

    def _expand_project(self, project: Record, origin: Origin) -> None:
        """The lists that a request may have had embedded become records of their own tables."""
        number = whole_number(project.get("id"))
        ids = {"projects": number} if number is not None else {}
        for name in _ROOT_LISTS:
            if isinstance(project.get(name), list):
                self.place(project.pop(name), replace(origin, expected=COLLECTIONS[name], ids=ids))
        account = project.pop("account", None)
        if isinstance(account, dict) and (key := whole_number(account.get("id"))) is not None:
            project.setdefault("account_id", key)
            self._derive("accounts", key, {**without_secrets(account), "id": key}, origin)

    def _expand_stories(self, record: Record, origin: Origin) -> None:
        """An iteration's, or a release's, stories are records too; it keeps their ids."""
        stories = record.pop("stories", None)
        if isinstance(stories, list):
            self.place(stories, replace(origin, expected="stories"))
            record.setdefault("story_ids", [s.get("id") for s in stories if isinstance(s, dict)])

    def _expand_workspace(self, workspace: Record, origin: Origin) -> None:
        projects = workspace.pop("projects", None)
        if isinstance(projects, list):
            told = [p for p in projects if isinstance(p, dict)]
            workspace.setdefault("project_ids", [p.get("id") for p in told])
            for project in told:
                self._derive_project(project, origin)

    def _expand_activity(self, activity: Record, origin: Origin) -> None:
        project = activity.get("project")
        if isinstance(project, dict):
            activity.setdefault("project_id", project.get("id"))
            self._derive_project(project, origin)
        if not activity.get("guid") and {"project_id", "project_version"} <= activity.keys():
            # which is how Tracker makes them
            activity["guid"] = f"{activity['project_id']}_{activity['project_version']}"

    def _expand_person(self, person: Record, origin: Origin) -> None:
        """Of oneself, `/me` tells much that is no one else's business."""
        if person.get("kind") == "me":
            told = _person(person, person.get("id"))
            person.clear()
            person |= told

    # what records tell of others

    def _derive_from(self, table: str, record: Record, origin: Origin) -> None:
        if table != "projects" and isinstance(record.get("project_id"), int):
            self._derive_project({"id": record["project_id"]}, origin)
        if table == "stories":
            self._derive_labels(record.get("labels", []), record, origin)
            self._derive_review_types(record.get("reviews", []), origin)
            if record.get("story_type") == "release":
                self._derive("releases", record["id"], release_of(record), origin)
        elif table == "epics" and isinstance(record.get("label"), dict):
            self._derive_labels([record["label"]], record, origin)

    def _derive_labels(self, labels: list[Any], of: Record, origin: Origin) -> None:
        for label in labels:
            number = whole_number(label.get("id"))
            if number is not None and number > 0:
                known = {"project_id": of["project_id"]} if "project_id" in of else {}
                self._derive("labels", number, {**known, **label, "id": number}, origin)

    def _derive_review_types(self, reviews: list[Record], origin: Origin) -> None:
        for review in reviews:
            review_type = review.get("review_type")
            if isinstance(review_type, dict):
                number = whole_number(review_type.get("id"))
                if number is not None:
                    self._derive("review_types", number, {**review_type, "id": number}, origin)

    def _derive_project(self, project: Record, origin: Origin) -> None:
        number = whole_number(project.get("id"))
        if number is not None:
            told = {name: project[name] for name in ("name",) if name in project}
            self._derive("projects", number, {"id": number, "kind": "project", **told}, origin)

    def _derive(self, table: str, key: int, record: Record, origin: Origin) -> None:
        fingerprint = hash((table, repr(record)))
        if fingerprint in self._derived:
            return
        if len(self._derived) >= _MOST_REMEMBERED:
            self._derived.clear()
        self._derived.add(fingerprint)
        try:
            self._gathering.derive(table, key, record, origin.source)
        except ValueError:
            # the record that tells it is the one that is missed
            return

    # parts of stories and epics

    def _child(self, attribute: str, record: Record, origin: Origin) -> None:
        table, parent_id = _parent(record, origin)
        if attribute == "owner_ids":
            self._root("people", record, replace(origin, expected="people"))
        elif attribute == "labels":
            ids = {"projects": origin.ids["projects"]} if "projects" in origin.ids else {}
            self._root("labels", record, replace(origin, expected="labels", ids=ids))
        if attribute.endswith("_attachments"):
            comment_id = origin.ids.get("comments", whole_number(record.get("comment_id")))
            attribute, record = "comments", {"id": comment_id, attribute: [record]}
            parent_id = parent_id if comment_id is not None else None
        if parent_id is None:
            reason = "it does not say what it belongs to"
            self._leave_out(origin, f"{table}__{attribute}", reason)
            return
        self._part(table, parent_id, attribute, record, origin)

    def _part(
        self, table: str, parent_id: int, attribute: str, record: Record, origin: Origin
    ) -> None:
        if attribute == "cycle_time_details":
            part: Record = {attribute: without_secrets(record)}
        else:
            items = [record.get("id")] if attribute == "owner_ids" else [record]
            # so that an item without an id is told from those of other parents
            part = tidied(table, {"id": parent_id, attribute: items}, self._leaver(origin))
            del part["id"]
        rows = nested_rows_of(table, part)
        for nested, count in rows.items():
            self._tally.read(origin.source, nested, count)
        try:
            self._gathering.add_to(table, parent_id, part, origin.source)
        except ValueError as error:
            for nested, count in rows.items():
                self._tally.leave_out(origin.source, nested, str(error), origin.where, count)
            return
        if attribute == "reviews":
            self._derive_review_types(part[attribute], origin)


_EXPANDED = {
    "stories": Answers._expand_story,
    "projects": Answers._expand_project,
    "iterations": Answers._expand_stories,
    "releases": Answers._expand_stories,
    "workspaces": Answers._expand_workspace,
    "activity": Answers._expand_activity,
    "people": Answers._expand_person,
}


def _parent(record: Record, origin: Origin) -> tuple[str, int | None]:
    """The table and the id of what a child belongs to: by what it says, or by its path."""
    for table, column in ID_COLUMNS.items():
        number = whole_number(record.get(column))
        if number is not None:
            return table, number
    for table in ("epics", "stories"):
        if table in origin.ids:
            return table, origin.ids[table]
    return "stories", None


def _person(person: Record, number: Any) -> Record:
    told = {name: person[name] for name in _OF_A_PERSON if name in person}
    return {**told, "id": number, "kind": "person"}
