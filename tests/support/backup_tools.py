"""Write a project in the formats of backup tools: folders of JSON, and SQLite databases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tracker_server.workspace import Workspace

from .archive_reading import Get, Record, all_of

ATTACHMENTS = "comments(:default,file_attachments,google_attachments)"
CHILDREN = (
    f":default,{ATTACHMENTS},owners(:default),reviews(:default),tasks(:default),"
    "transitions(:default),blockers(:default),labels(:default)"
)

STORY = (
    "id integer PRIMARY KEY NOT NULL, project_id integer NOT NULL, name text NOT NULL, "
    "description text, story_type text NOT NULL, current_state text NOT NULL, estimate real, "
    "accepted_at text, created_at text NOT NULL, owned_by_id integer, "
    "requested_by_id integer NOT NULL, updated_at text"
)
COMMENT = (
    "id integer PRIMARY KEY NOT NULL, story_id integer NOT NULL, text text, "
    "person_id integer NOT NULL, created_at text NOT NULL, updated_at text"
)
COMMON = {
    "person": "id integer PRIMARY KEY NOT NULL, name text, email text, initials text, "
    "username text",
    "label": "id integer PRIMARY KEY NOT NULL, project_id integer NOT NULL, name text NOT NULL, "
    "description text, created_at text, updated_at text",
    "story": STORY,
    "file_attachment": "id integer PRIMARY KEY NOT NULL, filename text, content_type text, "
    "size integer, download_url text, uploader_id integer, created_at text, comment_id integer",
}
STORYEXPORTER_TABLES = {
    **COMMON,
    "project": "id integer PRIMARY KEY NOT NULL, name text NOT NULL, description text, "
    "status text, iteration_length integer, created_at text, updated_at text",
    "epic": "id integer PRIMARY KEY NOT NULL, project_id integer NOT NULL, label_id integer, "
    "name text, description text, created_at text, updated_at text",
    "comment": COMMENT,
    "blocker": "id integer PRIMARY KEY NOT NULL, description text NOT NULL, "
    "resolved integer NOT NULL, story_id integer NOT NULL, person_id integer NOT NULL, "
    "created_at text NOT NULL, updated_at text NOT NULL",
    "story_label": "story_id integer NOT NULL, label_id integer NOT NULL",
    "file_attachment_file": "file_attachment_id integer NOT NULL, blob blob NOT NULL",
    "__drizzle_migrations": "id INTEGER PRIMARY KEY, hash text NOT NULL, created_at numeric",
}
DUMP_TABLES = {
    **COMMON,
    "project": "id integer PRIMARY KEY NOT NULL, name text NOT NULL",
    "story_comment": COMMENT,
    "story_label": "_id integer PRIMARY KEY AUTOINCREMENT NOT NULL, story_id integer NOT NULL, "
    "label_id integer NOT NULL",
    "story_owner": "_id integer PRIMARY KEY AUTOINCREMENT NOT NULL, story_id integer NOT NULL, "
    "person_id integer NOT NULL",
    "file_attachment_file": "file_attachment_id integer PRIMARY KEY NOT NULL, blob blob NOT NULL",
}


def write_json(path: Path, value: Any, **options: Any) -> None:
    """Write a JSON file, and create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, **options), "utf-8")


def write_pt_backup(folder: Path, get: Get, workspace: Workspace, project_id: int) -> None:
    """Write what `pt_backup.py` saves: six pretty-printed flat lists, and attachments."""
    stories = all_of(get, project_id, "stories")
    children: dict[str, list[Record]] = {"tasks": [], "comments": []}
    for story in stories:
        path = f"projects/{project_id}/stories/{story['id']}"
        children["tasks"] += get(f"{path}/tasks")
        comments = get(f"{path}/comments", fields=":default,file_attachments,google_attachments")
        for comment in comments:
            comment["attachments"] = comment.pop("file_attachments")
            comment["attachments"] += comment.pop("google_attachments")
        children["comments"] += comments
    lists = {
        "memberships": all_of(get, project_id, "project_memberships"),
        "epics": all_of(get, project_id, "epics"),
        "stories": stories,
        **children,
        "activities": all_of(get, project_id, "activity"),
    }
    for name, records in lists.items():
        if records:
            write_json(folder / f"{name}.json", records, indent=4)
    for comment in children["comments"]:
        for attachment in comment["attachments"]:
            if attachment["id"] in workspace.attachments:
                path = folder / "attachments" / str(attachment["id"]) / attachment["filename"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(workspace.attachments[attachment["id"]])


def dumped_paths(get: Get, project_id: int) -> dict[str, list[tuple[Record, Any]]]:
    """Return the responses that `pivotaltrackerdump` saves, by the template of their path."""
    keys, root = {"project_id": str(project_id)}, "/projects/{project_id}"
    stories = all_of(get, project_id, "stories", CHILDREN)
    epics = all_of(get, project_id, "epics", f":default,{ATTACHMENTS}")
    responses: dict[str, list[tuple[Record, Any]]] = {
        root: [(keys, get(f"projects/{project_id}"))],
        f"{root}/activity": [(keys, all_of(get, project_id, "activity"))],
        f"{root}/labels": [(keys, all_of(get, project_id, "labels"))],
        f"{root}/memberships": [(keys, all_of(get, project_id, "project_memberships"))],
        f"{root}/releases": [(keys, all_of(get, project_id, "releases", ":default,story_ids"))],
        f"{root}/iterations": [(keys, all_of(get, project_id, "iterations"))],
        f"{root}/epics": [(keys, epics)],
        f"{root}/stories": [(keys, stories)],
    }
    activity = all_of(get, project_id, "activity")
    for kind, records in (("story", stories), ("epic", epics)):
        path = f"{root}/{'stories' if kind == 'story' else 'epics'}/{{{kind}_id}}/activity"
        responses[path] = [
            (
                keys | {f"{kind}_id": str(record["id"])},
                [a for a in activity if record["id"] in [p["id"] for p in a["primary_resources"]]]
                or None,
            )
            for record in records
        ]
    return responses


def write_pivotaltrackerdump(folder: Path, responses: dict[str, list[tuple[Record, Any]]]) -> None:
    """Write the folder that `pivotaltrackerdump` makes of responses."""
    cache = [
        {"PathTemplate": path, "Keys": keys, "Data": data}
        for path, group in responses.items()
        for keys, data in group
    ]
    write_json(folder / "cache.json", cache, indent=2)
    for path, group in responses.items():
        name = "_".join(part.strip("{}") for part in path.split("/") if part)
        write_json(folder / f"{name}.json", [data for _, data in group], indent=2)


def write_database(
    path: Path, tables: dict[str, str], rows: dict[str, list[Record]] | None = None
) -> Path:
    """Write a database with tables, and rows, from which each table takes its own columns."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN")
        for name, columns in tables.items():
            database.execute(f"CREATE TABLE {name} ({columns})")
            known = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            for row in (rows or {}).get(name, ()):
                values = {column: row.get(column) for column in known}
                marks = ", ".join("?" for _ in values)
                query = f"INSERT INTO {name} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - the names are our own
                database.execute(query, list(values.values()))
        database.commit()
    return path


def dumped_tables(get: Get, workspace: Workspace) -> dict[str, list[Record]]:
    """Return what both tools request from the API, as rows of their tables."""
    (project,) = get("projects")
    fields = ":default,comments(:default,file_attachments),blockers"
    stories = all_of(get, project["id"], "stories", fields)
    comments = [c for s in stories for c in s["comments"]]
    attachments = [a | {"comment_id": c["id"]} for c in comments for a in c["file_attachments"]]
    epics = all_of(get, project["id"], "epics")
    return {
        "project": [project],
        "person": [m["person"] for m in all_of(get, project["id"], "project_memberships")],
        "label": all_of(get, project["id"], "labels"),
        "epic": [e | {"label_id": e["label"]["id"]} for e in epics],
        "story": stories,
        "comment": comments,
        "story_comment": comments,
        "blocker": [b for s in stories for b in s["blockers"]],
        "story_label": [
            {"story_id": s["id"], "label_id": label["id"]} for s in stories for label in s["labels"]
        ],
        "story_owner": [
            {"story_id": s["id"], "person_id": i} for s in stories for i in s["owner_ids"]
        ],
        "file_attachment": attachments,
        "file_attachment_file": [
            {"file_attachment_id": a["id"], "blob": workspace.attachments[a["id"]]}
            for a in attachments
        ],
    }
