"""Read archives in tests: complete records by table, and an account of every row of every file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests

from pivotal_tracker import tables
from pivotal_tracker.archive import (
    Archive,
    ArchiveError,
    ArchiveRecord,
    Format,
    LoadAccounting,
    open_archives,
)
from pivotal_tracker.archive.file_listing import open_files
from pivotal_tracker.settings import PROJECT_ENDPOINTS
from pivotal_tracker.tables import Table

Record = dict[str, Any]
Get = Callable[..., Any]
"""Requests a path of the API, for a dump: `get("projects/1/stories", fields="…")`."""

TABLES = {
    table.name: table
    for table in (
        tables.PROJECTS,
        *tables.PROJECT_TABLES.values(),
        tables.WORKSPACES,
        tables.ACCOUNTS,
        tables.ACCOUNT_MEMBERSHIPS,
        tables.PEOPLE,
        tables.ATTACHMENT_FILES,
    )
}


class Read(NamedTuple):
    """The content of an archive: records by table, the bytes of attachments by id, and counts."""

    records: dict[str, list[Record]]
    contents: dict[int, bytes]
    accounting: LoadAccounting
    format: str

    def by_id(self, table: str) -> dict[Any, Record]:
        """Return the records of a table by their key; keys must be unique."""
        key = TABLES[table].key
        found = {tuple(r.get(name) for name in key): r for r in self.records.get(table, [])}
        assert len(found) == len(self.records.get(table, [])), f"{table}: a key is not unique"
        return {key[0] if len(key) == 1 else key: r for key, r in found.items()}

    def reasons(self, table: str) -> set[str]:
        """Return the reasons why rows of a table were left out."""
        return {reason for _, name, reason in self.accounting.left_out if name == table}


def read(path: Path, form: Format | None = None) -> Read:
    """Read an archive; assert for each file and table that read = loaded + left out.

    Args:
        path: The archive.
        form: Its format; default: it is recognised.
    """
    archive = _archive_of(path, form) if form else open_archives([path]).archives[0]
    accounting = LoadAccounting()
    records: dict[str, list[Record]] = defaultdict(list)
    contents: dict[int, bytes] = {}
    for found in archive.read(accounting):
        assert not found.is_withdrawn
        records[found.table].append(found.record)
        count_loaded(found, accounting)
        if found.content:
            with found.content() as stream:
                contents[found.record["id"]] = stream.read()
    assert_accounted_for(accounting)
    return Read(dict(records), contents, accounting, archive.format.name)


def _archive_of(path: Path, form: Format) -> Archive:
    files = open_files(path)
    archive = Archive(files.only(form.claims(files)), form)
    archive.files.refused |= files.refused
    return archive


def count_loaded(found: ArchiveRecord, accounting: LoadAccounting) -> None:
    """Count the rows of a record, by the declared tables."""
    rows: Counter[str] = Counter()
    _count(TABLES[found.table], found.record, rows)
    for source, table, count in found.rows_by_source(rows):
        assert count > 0
        accounting.loaded(source, table, count)


def _count(table: Table, record: Any, rows: Counter[str]) -> None:
    rows[table.name] += 1
    for name, nested in table.nested.items():
        for item in (record.get(name) or ()) if isinstance(record, dict) else ():
            _count(nested, item, rows)


def assert_accounted_for(accounting: LoadAccounting) -> None:
    """Assert that every row that was read is loaded, or left out for a reason."""
    left_out: Counter[tuple[str, str]] = Counter()
    for (source, table, _), counts in accounting.left_out.items():
        left_out[source, table] += counts.rows
    for kind in {*accounting.read_rows, *accounting.loaded_rows, *left_out}:
        assert accounting.read_rows[kind] == accounting.loaded_rows[kind] + left_out[kind], kind


def getter(url: str, api_token: str) -> Get:
    """Return a function that requests a server as the backup tools did."""
    session = requests.Session()
    session.headers["X-TrackerToken"] = api_token

    def get(path: str, **params: Any) -> Any:
        response = session.get(f"{url}/{path}", params=params, timeout=30)
        response.raise_for_status()
        return response.json()

    return get


def all_of(get: Get, project_id: int, name: str, fields: str = "") -> list[Record]:
    """Return all records of a paged or unpaged list of a project."""
    path = PROJECT_ENDPOINTS[name].path.format(id=project_id)
    params: Record = {"fields": fields} if fields else {}
    if PROJECT_ENDPOINTS[name].limit is None:
        return list(get(path, **params))
    found: list[Record] = []
    while page := get(path, **params, limit=50, offset=len(found)):
        found += page
    return found


def without(record: Record, *names: str) -> Record:
    """Copy a record without some attributes, and without those that are null or secret."""
    return {
        name: _plain(value)
        for name, value in record.items()
        if value is not None and name not in names and name not in SECRETS
    }


SECRETS = frozenset({"api_token", "big_url", "thumbnail_url"})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return without(value)
    return [_plain(v) for v in value] if isinstance(value, list) else value


def try_to_read(path: Path, form: Format) -> None:
    """Read any file: every row is accounted for, or the error is one line."""
    try:
        read(path, form)
    except ArchiveError as error:
        assert "\n" not in str(error)
