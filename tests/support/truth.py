"""The expected rows of the tables, computed from records without the source's code."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import requests

from pivotal_tracker.settings import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    PROJECT_ENDPOINTS,
    PROJECTS,
    WORKSPACES,
    Endpoint,
)
from pivotal_tracker.tables import PROJECT_TABLES
from tracker_server import TrackerServer

Record = dict[str, Any]
Tables = dict[str, list[Record]]

NOT_OF_THE_SERVER = {"_deleted", "found_at"}
SECRETS = {"api_token", "big_url", "thumbnail_url"}
JSON_COLUMNS = {"new_values", "original_values"}
INHERITED_COLUMNS = {
    "stories": {"story_id": "id", "project_id": "project_id"},
    "stories__comments": {"comment_id": "id"},
    "epics": {"epic_id": "id", "project_id": "project_id"},
    "epics__comments": {"comment_id": "id"},
    "releases": {"release_id": "id", "project_id": "project_id"},
    "activity": {"activity_guid": "guid", "project_id": "project_id"},
    "iterations": {"iteration_number": "number", "project_id": "project_id"},
    "workspaces": {"workspace_id": "id"},
    "accounts": {"account_id": "id"},
}
APPEND_ONLY_TABLES = {
    "activity",
    "activity__changes",
    "activity__primary_resources",
    "activity__secondary_resources",
    "deleted_records",
    "people",
}
DERIVED_TABLES = {"deleted_records", "people"}
"""The tables that several resources add rows to."""
PEOPLE_IN = ("requested_by_id", "owned_by_id", "person_id", "reviewer_id", "performed_by_id")


def expected_tables(table: str, records: Iterable[Record]) -> Tables:
    """Return the expected rows of a table and its nested tables."""
    tables: Tables = {table: []}
    for record in records:
        _expect(tables, table, record, {})
    return tables


def _expect(tables: Tables, table: str, record: Record, ids: Record) -> None:
    row = {**ids, **_flat(record)}
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    row = {name: value for name, value in row.items() if name not in lists}
    tables.setdefault(table, []).append(row)
    ids = ids | {new: row[old] for new, old in INHERITED_COLUMNS.get(table, {}).items()}
    for name, values in lists.items():
        for value in values:
            child = value if isinstance(value, dict) else {"value": value}
            _expect(tables, f"{table}__{name}", child, ids)


def _flat(record: Record) -> Record:
    flat: Record = {}
    for name, value in record.items():
        if name in SECRETS:
            continue
        if name in JSON_COLUMNS:
            flat[name] = _without_secrets(value)
        elif isinstance(value, dict):
            flat |= {f"{name}__{inner}": v for inner, v in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_secrets(v) for k, v in value.items() if k not in SECRETS}
    return [_without_secrets(v) for v in value] if isinstance(value, list) else value


def loaded_tables(database: Path, dataset: str = "tracker") -> Tables:
    """Return every row of every table of a dataset, without dlt's own tables."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return tables_in(connection, dataset)


def tables_in(connection: duckdb.DuckDBPyConnection, dataset: str = "tracker") -> Tables:
    """Return every row of every table of a dataset, from an open connection."""
    connection.execute("SET TimeZone = 'UTC'")
    names = connection.execute(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = ? AND table_type = 'BASE TABLE'",
        [dataset],
    ).fetchall()
    return {
        name: _rows(connection, f'"{dataset}"."{name}"')
        for (name,) in names
        if not name.startswith("_dlt")
    }


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[Record]:
    cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - names from the catalogue
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def comparable(rows: Iterable[Record]) -> list[str]:
    """Convert rows to sorted texts, which are equal for equal tables."""
    return sorted(
        repr(
            [
                (name, _json(value) if name in JSON_COLUMNS else _plain(value))
                for name in _compared(tuple(row))
                if (value := row[name]) is not None
            ]
        )
        for row in rows
    )


@functools.cache
def _compared(columns: tuple[str, ...]) -> list[str]:
    """Return the columns that come from the server, sorted."""
    return sorted(
        name for name in columns if name not in NOT_OF_THE_SERVER and not name.startswith("_dlt")
    )


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return float(value)
    if kind is datetime:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if kind is date else value


def _json(value: Any) -> str:
    return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)


def of_project(tables: Tables, project_id: int) -> Tables:
    """Return the rows of a project in all tables that have a `project_id`."""
    return {
        name: [row for row in rows if row.get("project_id") == project_id]
        for name, rows in tables.items()
    }


def assert_tables_equal(loaded: Tables, expected: Tables) -> None:
    """Assert that all tables are equal, and empty if no rows are expected."""
    assert set(expected) <= set(loaded)
    for name in sorted(loaded):
        assert comparable(loaded[name]) == comparable(expected.get(name, [])), name


def assert_only_loaded(resources: Collection[str], loaded: Tables, served: Tables) -> None:
    """Assert that the tables of resources are complete, and that there are only derived others."""
    family = {table.name for name in resources for table in PROJECT_TABLES[name].family()}
    loaded = {table: rows for table, rows in loaded.items() if table not in DERIVED_TABLES}
    assert_tables_equal(loaded, {table: served.get(table, []) for table in family})


def served_tables(server: TrackerServer) -> Tables:
    """Return the expected tables of a server, read with simple requests."""
    session = requests.Session()
    session.headers["X-TrackerToken"] = server.workspace.me["api_token"]

    def get(endpoint: Endpoint, params: dict[str, Any], ids: dict[str, int]) -> Any:
        address = f"{server.url}/{endpoint.path.format(**ids)}"
        response = session.get(address, params=params, timeout=30)
        hint = f"is {endpoint.path} in ENDPOINTS of tracker_server/endpoints.py?"
        assert response.ok, f"{address}: {response.status_code}; {hint}"
        return response.json()

    def everything(endpoint: Endpoint, **ids: int) -> list[Record]:
        params: dict[str, Any] = {"fields": ",".join(endpoint.fields)} if endpoint.fields else {}
        if endpoint.limit is None:
            body = get(endpoint, params, ids)
            if endpoint.path.endswith("history/days"):
                return [dict(zip(body["header"], day, strict=True)) for day in body["data"]]
            return list(body[endpoint.data_key] if endpoint.data_key else body)
        found: list[Record] = []
        while page := get(endpoint, params | {"limit": 50, "offset": len(found)}, ids):
            found += page
        return found

    projects = everything(PROJECTS)
    tables: Tables = expected_tables("projects", projects)
    for project in projects:
        for name, endpoint in PROJECT_ENDPOINTS.items():
            records = [
                {"project_id": project["id"], **r} for r in everything(endpoint, id=project["id"])
            ]
            for table, rows in expected_tables(name, records).items():
                tables.setdefault(table, []).extend(rows)
    tables |= expected_tables("workspaces", everything(WORKSPACES))
    accounts = everything(ACCOUNTS)
    members = [m for a in accounts for m in everything(ACCOUNT_MEMBERSHIPS, id=a["id"])]
    tables |= expected_tables("accounts", accounts)
    tables |= expected_tables("account_memberships", members)
    tables["people"] = people_in(tables)
    tables["deleted_records"] = deleted_in(tables)
    return tables


def people_in(tables: Tables) -> list[Record]:
    """Return the people in memberships, stories and activity, with all their values."""
    people: dict[int, Record] = {}
    for row in tables.get("activity", []):
        person = {k: row.get(f"performed_by__{k}") for k in ("id", "kind", "name", "initials")}
        people[person["id"]] = person
    for name, rows in tables.items():
        if name.split("__")[0] == "stories":
            ids = [row.get(column) for row in rows for column in PEOPLE_IN]
            if name in ("stories__owner_ids", "stories__follower_ids"):
                ids += [row["value"] for row in rows]
            for person_id in ids:
                if person_id is not None:
                    people.setdefault(person_id, {"id": person_id, "kind": "person"})
    for name in ("project_memberships", "account_memberships"):
        for row in tables.get(name, []):
            prefix = "person__"
            person = {k[len(prefix) :]: v for k, v in row.items() if k.startswith(prefix)}
            people[person["id"]] = people.get(person["id"], {}) | person
    return list(people.values())


def deleted_in(tables: Tables) -> list[Record]:
    """Return what activity deleted or moved, without `found_at`."""
    activities = {row["guid"]: row for row in tables.get("activity", [])}
    deleted = {}
    for change in tables.get("activity__changes", []):
        if change.get("change_type") == "delete":
            activity = activities[change["activity_guid"]]
            deleted[change["kind"], change["id"], activity["project_id"]] = {
                "kind": change["kind"],
                "id": change["id"],
                "project_id": activity["project_id"],
                "change": "moved" if "_move_" in activity["kind"] else "deleted",
                "deleted_at": activity["occurred_at"],
                "deleted_by_id": activity["performed_by__id"],
                "activity_guid": activity["guid"],
            }
    return list(deleted.values())
