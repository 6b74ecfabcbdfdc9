"""An archive format for tests of what all formats share: lines of `{table, record}` as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pivotal_tracker.archive import ArchiveError, ArchiveRecord, LoadAccounting
from pivotal_tracker.archive.files import Files

Record = dict[str, Any]


class SampleFormat:
    """Read files that end in `.sample`; at a line that is not JSON, the file breaks off.

    A line may have `count`, false numbers of rows by table, and `content`, the text of a file.
    """

    name = "sample"
    gives_people = False

    def recognizes(self, files: Files) -> bool:
        return bool(files) and all(name.endswith(".sample") for name in files)

    def claims(self, files: Files) -> Collection[str]:
        return set(files)

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        for name, file in files.items():
            with file.open() as lines:
                for line in lines:
                    try:
                        values = json.loads(line)
                    except ValueError as error:
                        raise ArchiveError(f"{name} breaks off.") from error
                    rows = values.get("count") or rows_of(values["table"], values["record"])
                    for table, number in rows.items():
                        accounting.read(name, table, number)
                    text = values.get("content")
                    content = (lambda text=text: io.BytesIO(text.encode())) if text else None
                    yield ArchiveRecord(values["table"], values["record"], name, content)


def rows_of(table: str, record: Record) -> dict[str, int]:
    """Count the rows of a record and of the lists in it, by table."""
    rows = {table: 1}
    for name, value in record.items():
        for child in value if isinstance(value, list) else ():
            inner = rows_of(f"{table}__{name}", child if isinstance(child, dict) else {})
            rows = {n: rows.get(n, 0) + inner.get(n, 0) for n in {*rows, *inner}}
    return rows


def write(path: Path, *records: tuple[str, Record], **more: Any) -> Path:
    """Write an archive of records, each with its table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"table": t, "record": r, **more}) for t, r in records]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
