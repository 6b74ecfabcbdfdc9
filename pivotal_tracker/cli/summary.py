"""The summary of a run, for people: rows per table, what is missing, where the data is."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.common.destination.client import DestinationClientConfiguration

from ..sources import DERIVED_RESOURCES
from .outcome import Outcome
from .programs import dashboard_command

MAX_LINES = 20
"""The maximum number of lines of each kind."""


def summary(pipeline: dlt.Pipeline, outcome: Outcome) -> str:
    """Return the complete summary.

    Args:
        pipeline: The pipeline that ran.
        outcome: What it did.
    """
    tables = _tables(outcome)
    return "\n".join(
        [
            *tables,
            *[""] * bool(tables),
            remarks(outcome),
            *_views(outcome),
            *_location(pipeline, outcome),
        ]
    )


def remarks(outcome: Outcome) -> str:
    """Return the summary without its table."""
    return "\n".join(
        [
            f"Loaded {outcome.written.total():,} rows in {outcome.seconds:.1f} s"
            f"{_requests(outcome.counts)}.",
            *_unchanged(outcome),
            *(
                f"Skipped: {f'project {project}, ' if project else ''}{table}: {why}"
                for table, project, why in outcome.skipped
            ),
            *_set_aside(outcome),
            *_kept(outcome),
            *_incomplete(outcome),
            *(
                f"Left to the next run: comments of {stories:,} stories of project {project}."
                for project, stories in outcome.pending.items()
            ),
            *(f"Not read completely: {name}: {why}" for name, why in outcome.unread.items()),
            *_lacking(outcome),
            *_left_out(outcome),
            *_differing(outcome),
            *_load_report(outcome),
            *_files(outcome),
            *_replaced(outcome.counts),
        ]
    )


def as_json(started_at: datetime, content: dict[str, Any]) -> str:
    """Return the summary as JSON.

    Args:
        started_at: When the run started.
        content: The rest of the summary.
    """
    seconds = round((datetime.now(UTC) - started_at).total_seconds(), 3)
    whole = {"began_at": started_at.isoformat(timespec="seconds"), "seconds": seconds, **content}
    return json.dumps(whole, indent=2) + "\n"


@dataclass(frozen=True)
class _TableLine:
    """A line of the summary's table; the counts of records are None for a nested table."""

    label: str
    rows: int
    new: int | None
    changed: int | None
    deleted: int | None


def _tables(outcome: Outcome) -> list[str]:
    """Return a line for each table with rows written or records deleted.

    If only new records were written, as in a first run, lines have only the number of rows, and are
    laid out in columns.
    """
    lines = _table_lines(outcome)
    if not lines:
        return []
    width = max(len(line.label) for line in lines)
    if any(line.changed or line.deleted for line in lines):
        header = f"{'table':{width}} {'rows':>11} {'new':>9} {'changed':>9} {'deleted':>9}"
        return [
            header,
            *(
                f"{line.label:{width}} {line.rows:>11,} {_count(line.new)} {_count(line.changed)} "
                f"{_count(line.deleted)}".rstrip()
                for line in lines
            ),
        ]
    cells = [f"{line.label:{width}} {line.rows:>10,}" for line in lines]
    return _side_by_side(f"{'table':{width}} {'new rows':>10}", cells)


def _table_lines(outcome: Outcome) -> list[_TableLine]:
    """Sort the tables so that nested ones, indented, come after their parents."""
    written, records = outcome.written, outcome.records
    names = {name for name in (*written, *records) if written[name]}
    names |= {name for name, counts in records.items() if counts.get("deleted")}
    lines = []
    for name in sorted(names, key=lambda name: name.split("__")):
        parts = name.split("__")
        parents = ["__".join(parts[:depth]) for depth in range(1, len(parts))]
        depth = sum(parent in names for parent in parents)
        label = "  " * depth + "__".join(parts[depth:])
        counts = records.get(name)
        new, changed, deleted = (
            (counts[what] for what in ("new", "changed", "deleted")) if counts else (None,) * 3
        )
        lines.append(_TableLine(label, written[name], new, changed, deleted))
    return lines


def _count(number: int | None) -> str:
    """Format a number of records; blank for 0, so that changes stand out."""
    return f"{number:>9,}" if number else " " * 9


def _side_by_side(header: str, cells: list[str]) -> list[str]:
    """Lay out cells of one width in columns that fit the terminal.

    No column begins with a nested table, unless that cannot be avoided.
    """
    gap = "   "
    room = (shutil.get_terminal_size().columns + len(gap)) // (len(header) + len(gap))
    columns = max(1, min(room, 3, len(cells) // 6))
    least = -(-len(cells) // columns)
    height = next(
        (
            height
            for height in range(least, len(cells))
            if not any(cell.startswith(" ") for cell in cells[::height])
        ),
        least,
    )
    rows = (cells[start::height] for start in range(height))
    headers = [header] * len(cells[::height])
    return [gap.join(headers), *(gap.join(row) for row in rows)]


def _requests(counts: Counter[str]) -> str:
    """Return the number of requests, if there was a server."""
    if not counts:
        return ""
    retries = counts["attempts"] - counts["requests"]
    return f", {counts['requests']:,} requests" + (f" ({retries:,} repeated)" if retries else "")


def _unchanged(outcome: Outcome) -> list[str]:
    """Return the number of unchanged projects, and those missing from the server's list."""
    unchanged, missing = outcome.projects_unchanged, outcome.projects_not_seen
    projects = f"{unchanged:,} project{'s' * (unchanged != 1)}"
    lines = [f"Unchanged since the last run: {projects}."] if unchanged else []
    if outcome.has_no_project:
        lines.append("There was no project to load: --check says which ones the token sees.")
    if missing:
        names = ", ".join(map(str, missing))
        lines.append(f"Not in the list of projects any more, rows kept: {names}")
    return lines


def _set_aside(outcome: Outcome) -> list[str]:
    if not outcome.set_aside:
        return []
    return [
        "What an earlier run had read can never be loaded. It was copied aside and aborted, and "
        f"its data was read again. {outcome.set_aside}"
    ]


def _kept(outcome: Outcome) -> list[str]:
    """List rows that were kept although the server's list lacks them, and accepted deletions.

    New ones come first: they are why the exit code is 3.
    """
    lines = []
    for kept in sorted(outcome.kept, key=lambda kept: not kept.is_new):
        begin = "Kept" if kept.is_new else f"Kept since {kept.since}"
        lines.append(
            f"{begin}: {kept.rows:,} rows of {kept.table}{_of_project(kept.project)}, which the "
            "server's list suddenly lacks. If they were really deleted: "
            f"--accept-deletions {kept.name}"
        )
    lines += [
        f"Deleted as accepted: {rows:,} rows of {name}." for name, rows in outcome.accepted.items()
    ]
    return lines


def _incomplete(outcome: Outcome) -> list[str]:
    """List the lists with fewer rows than the server announced."""
    return [
        f"Incomplete: {counts['table']} of project {counts['project_id']}: the server announced "
        f"{counts['total']:,} rows and gave {counts['rows']:,}; nothing was deleted"
        + (", the next run reads it again." if counts["is_new"] else ", as in the last run.")
        for counts in outcome.incomplete
    ]


def _of_project(project: str) -> str:
    return f" of project {project}" if project else ""


def _lacking(outcome: Outcome) -> list[str]:
    """List what the server does not support, or not for this token."""
    lists = {
        "Not offered by this server": sorted(outcome.not_offered),
        "Not permitted to this token": sorted(outcome.not_permitted),
        "Fields that this server refuses": outcome.refused_fields,
        "Requested, and not returned by this server": outcome.not_given,
    }
    return [f"{problem}: {', '.join(names)}" for problem, names in lists.items() if names]


def _left_out(outcome: Outcome) -> list[str]:
    """List records that could not be loaded."""
    lines = []
    for name, records in outcome.records.items():
        if records.get("unusable"):
            lines.append(
                f"Left out: {records['unusable']:,} records of {name}, which have no usable key."
            )
        if records.get("rejected"):
            key, why = next(iter(outcome.rejected[name].items()))
            lines.append(
                f"Rejected: {records['rejected']:,} records of {name}, first {key}: {why[:200]}"
            )
    lines += [
        f"Rejected: {len(problems):,} records of {path}, first: {problems[0]}"
        for path, problems in outcome.unparsable.items()
    ]
    return _shortened(lines, "lines", "--summary FILE")


def _differing(outcome: Outcome) -> list[str]:
    """List the tables whose numbers of rows differ, lost rows first."""
    differences = sorted(outcome.differences, key=lambda difference: not difference.is_data_loss)
    lines = [
        f"{'Rows are missing' if difference.is_data_loss else 'Counted'}: {difference}"
        for difference in differences
    ]
    return _shortened(lines, "lists", "--summary FILE")


def _load_report(outcome: Outcome) -> list[str]:
    """Report the rows of each file that were loaded or left out."""
    metrics = outcome.metrics["load_report"]
    report = metrics.report
    reasons = [
        f"{_left_out_counts(rows)} of {record['kind']} in {record['source']}: "
        f"{rows['reason']}{', first ' + rows['where'] if rows['where'] else ''}."
        for record in report
        for rows in record["left_out"]
    ]
    others = [f"Ignored, not an archive: {name}" for name in metrics.ignored]
    where = "the table load_report"
    return [
        *_found_in_files(report),
        *_shortened(reasons, "reasons", where),
        *_shortened(others, "files", where),
    ]


_COUNTED_SEPARATELY = ("stories", "epics", "stories__comments")
_MAX_FILES = 1_000


def _found_in_files(report: Iterable[dict[str, Any]]) -> list[str]:
    """Return a table of the files that were read, with the rows loaded."""
    files: dict[str, Counter[str]] = {}
    for record in report:
        rows = files.setdefault(f"{record['source']} ({record['format']})", Counter())
        kind = record["kind"] if record["kind"] in _COUNTED_SEPARATELY else "others"
        rows[kind] += record["rows_loaded"]
        rows["left out"] += record["rows_left_out"]
    if not files:
        return []
    shown = dict(list(files.items())[:_MAX_FILES])
    if len(files) > 1:
        shown[f"{len(files):,} files"] = sum(files.values(), Counter())
    # the names come last: they are often longer than a line
    header = "stories    epics  comments  other rows  left out  found in"
    lines = [
        f"{rows['stories']:>7,}  {rows['epics']:>7,}  {rows['stories__comments']:>8,}  "
        f"{rows['others']:>10,}  {rows['left out']:>8,}  {name}"
        for name, rows in shown.items()
    ]
    return [header, *lines]


def _left_out_counts(left_out: dict[str, Any]) -> str:
    """Return the number of rows left out, and of values missing in loaded rows."""
    counts = ((left_out["rows"], "row"), (left_out["lost_values"], "value"))
    texts = [f"{number:,} {what}{'s' * (number != 1)}" for number, what in counts if number]
    return f"Left out: {' and '.join(texts)}" if texts else "Nothing left out"


def _shortened(lines: list[str], what: str, where: str) -> list[str]:
    """Shorten a list to `MAX_LINES`, and say where the rest is."""
    rest = len(lines) - MAX_LINES
    more = f"… and {rest:,} more {what}: {where} has them all."
    return lines if rest <= 0 else [*lines[:MAX_LINES], more]


def _files(outcome: Outcome) -> list[str]:
    """Report the files of comments, if they were requested."""
    files = outcome.files
    if not files:
        return []
    line = (
        f"Files of comments: {files['downloaded']:,} downloaded ({files['bytes']:,} bytes), "
        f"{files['kept']:,} already there."
    )
    missing = f" {files['problems']:,} could not be downloaded: attachment_files.problem says why."
    return [line + (missing if files["problems"] else "")]


def _replaced(counts: Counter[str]) -> list[str]:
    """Report characters that were replaced."""
    if not counts["replaced"]:
        return []
    return [
        f"{counts['replaced']:,} characters that no database can store were loaded as "
        "\N{REPLACEMENT CHARACTER}."
    ]


def _views(outcome: Outcome) -> list[str]:
    """Return the number of views, and those that could not be created."""
    views = outcome.views
    if views is None:
        return []
    if views.problem:
        return [f"Views: none, {views.problem}."]
    lines = [f"Views: {len(views.names)}."]
    return lines + [f"Left out: view {name}: {why}" for name, why in views.left_out.items()]


def _location(pipeline: dlt.Pipeline, outcome: Outcome) -> list[str]:
    """Return where the data is, and the commands that show it."""
    client = pipeline.destination_client()
    dataset = pipeline.dataset_name
    file = Path(str(getattr(client.config.credentials, "database", "")))
    if client.capabilities.sqlglot_dialect != "duckdb" or not file.is_file():
        name = pipeline.destination.destination_name
        return [f"In {name}, dataset {dataset}: {_place(client.config)}", *_in_the_browser()]
    # a backslash of Windows would be an escape in the command
    database = file.resolve().as_posix()
    # `pipeline.default_schema` would be read from a file each time
    tables = client.schema.data_table_names()
    others = [name for name in tables if name not in DERIVED_RESOURCES] or tables
    table, some = max(others, key=lambda name: outcome.written[name]), ""
    if "stories" in tables:
        table, some = "stories", ".select('name', 'current_state', 'estimate')"
    return [
        f"In {database}, dataset {dataset}. To look at it:",
        f"  {sys.executable} -c \"import duckdb; database = duckdb.connect('{database}'); "
        f"print(database.table('{dataset}.{table}'){some}.limit(10))\"",
        *_in_the_browser(),
    ]


def _place(config: DestinationClientConfiguration) -> str:
    """Return a destination's server, folder or project, without names and passwords of users."""
    if isinstance(config.credentials, ConnectionStringCredentials):
        url = config.credentials.to_url()
        place = type(url).create(
            url.drivername, host=url.host, port=url.port, database=url.database
        )
        return str(place)
    return str(config)


def _in_the_browser() -> list[str]:
    command = dashboard_command()
    return [f"In the browser: {command}"] if command else []
