"""What a person wants to know after a run: rows a table, what is missing, where it lies."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.destinations.impl.duckdb.configuration import DuckDbBaseCredentials

from ..errors import TrackerError
from .outcome import Outcome

_DERIVED_TABLES = ("deleted_records", "people")
"""The tables that nobody looks at first."""

MOST_LINES = 20
"""So many lines of a kind are in the summary."""

_IS_INSTALLED = not (Path(__file__).parents[2] / "Makefile").is_file()
_IN_THE_BROWSER = "In the browser: " + (
    "pivotal-tracker-dashboard"
    if _IS_INSTALLED
    else "make dashboard, or streamlit run pivotal_tracker_dashboard.py"
)


def summary(pipeline: dlt.Pipeline, outcome: Outcome) -> str:
    """The whole summary.

    Args:
        pipeline: Which has run.
        outcome: What it did.
    """
    return "\n".join(
        [*_tables(outcome), "", remarks(outcome), *_views(outcome), *_where(pipeline, outcome)]
    )


def remarks(outcome: Outcome) -> str:
    """What there is to say of a run as a whole."""
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
            *(f"Not read as a whole: {name}: {why}" for name, why in outcome.unread.items()),
            *_lacking(outcome),
            *_left_out(outcome),
            *_differing(outcome),
            *_load_report(outcome),
            *_files(outcome),
            *_replaced(outcome.counts),
        ]
    )


def write_json(path: Path, began: datetime, told: dict[str, Any]) -> None:
    """Writes the summary for programs.

    Args:
        path: The file.
        began: When the run did.
        told: The rest of it.

    Raises:
        TrackerError: The file cannot be written.
    """
    seconds = round((datetime.now(UTC) - began).total_seconds(), 3)
    whole = {
        "began_at": began.isoformat(timespec="seconds"),
        "seconds": seconds,
        **told,
    }
    try:
        path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrackerError(f"The summary cannot be written: {error}") from error


def _tables(outcome: Outcome) -> list[str]:
    """A line a table: what was written to it, and what its records were."""
    written, records = outcome.written, outcome.records
    names = {*written, *(name for name, became in records.items() if became.get("deleted"))}
    width = max(map(len, names), default=0)
    return [
        f"{name:{width}}  {written[name]:>10,} rows{_became(records.get(name))}"
        for name in sorted(names)
    ]


def _became(records: dict[str, int] | None) -> str:
    """How many records were new, changed, deleted; nothing for a child table."""
    if records is None:
        return ""
    counts = [f"{records[what]:,} {what}" for what in ("new", "changed", "deleted")]
    return f"   {', '.join(counts)}"


def _requests(counts: Counter[str]) -> str:
    """What was asked of a server, if any was."""
    if not counts:
        return ""
    repeated = counts["attempts"] - counts["requests"]
    return f", {counts['requests']:,} requests ({repeated:,} repeated)"


def _unchanged(outcome: Outcome) -> list[str]:
    """How many projects were not read again, and which are not in the list any more."""
    unchanged, vanished = outcome.projects_unchanged, outcome.projects_not_seen
    lines = [f"Unchanged since the last run: {unchanged:,} projects."] if unchanged else []
    if outcome.has_no_project:
        lines.append("There was no project to load: --check says which ones the token sees.")
    if vanished:
        names = ", ".join(map(str, vanished))
        lines.append(f"Not in the list of projects any more, rows kept: {names}")
    return lines


def _set_aside(outcome: Outcome) -> list[str]:
    if not outcome.set_aside:
        return []
    return [
        "What an earlier run had read can never be loaded. It was copied aside and given up, and "
        f"its data was read again. {outcome.set_aside}"
    ]


def _kept(outcome: Outcome) -> list[str]:
    """The rows that were kept although their list lacks them, and those whose deletion was wanted.

    New ones come first: they are why the exit code is 3.
    """
    lines = []
    for one in sorted(outcome.kept, key=lambda one: not one.is_new):
        begin = "Kept" if one.is_new else f"Kept since {one.since}"
        lines.append(
            f"{begin}: {one.rows:,} rows of {one.table}{_of_project(one.project)}, which the "
            "server's list suddenly lacks. If they were really deleted: "
            f"--accept-deletions {one.name}"
        )
    lines += [
        f"Deleted as accepted: {rows:,} rows of {name}." for name, rows in outcome.accepted.items()
    ]
    return lines


def _incomplete(outcome: Outcome) -> list[str]:
    """The lists that gave fewer rows than the server announced."""
    return [
        f"Incomplete: {one['table']} of project {one['project_id']}: the server announced "
        f"{one['total']:,} rows and gave {one['rows']:,}; nothing was deleted"
        + (", the next run reads it again." if one["is_new"] else ", as in the last run.")
        for one in outcome.incomplete
    ]


def _of_project(project: str) -> str:
    return f" of project {project}" if project else ""


def _lacking(outcome: Outcome) -> list[str]:
    """What this server does not offer, to anyone or to this token."""
    lists = {
        "Not offered by this server": sorted(outcome.lacking("not_offered")),
        "Not permitted to this token": sorted(outcome.lacking("not_permitted")),
        "Fields that this server refuses": outcome.refused_fields,
        "Asked for, and not given by this server": outcome.not_given,
    }
    return [f"{problem}: {', '.join(names)}" for problem, names in lists.items() if names]


def _left_out(outcome: Outcome) -> list[str]:
    """Records that no table could take."""
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
    return _first_of(lines, "lines", "--summary FILE")


def _differing(outcome: Outcome) -> list[str]:
    """The lists whose numbers of rows do not agree, lost rows first."""
    told = sorted(outcome.differences, key=lambda one: not one.is_loss)
    lines = [f"{'Rows are missing' if one.is_loss else 'Counted'}: {one}" for one in told]
    return _first_of(lines, "lists", "--summary FILE")


def _load_report(outcome: Outcome) -> list[str]:
    """What became of the rows of each file, where files were loaded."""
    told = outcome.noted.get("load_report", {})
    report = told.get("report", ())
    reasons = [
        f"{_lost(one)} of {record['kind']} in {record['source']}: "
        f"{one['reason']}{', first ' + one['where'] if one['where'] else ''}."
        for record in report
        for one in record["left_out"]
    ]
    others = [f"Not an archive, left alone: {name}" for name in told.get("ignored", ())]
    where = "the table load_report"
    return [
        *_found_in_files(report),
        *_first_of(reasons, "reasons", where),
        *_first_of(others, "files", where),
    ]


_COUNTED_BY_THEMSELVES = ("stories", "epics", "stories__comments")
_MOST_FILES = 1_000


def _found_in_files(report: Iterable[dict[str, Any]]) -> list[str]:
    """A table of the files that were read, with what was loaded of each."""
    files: dict[str, Counter[str]] = {}
    for record in report:
        rows = files.setdefault(f"{record['source']} ({record['format']})", Counter())
        kind = record["kind"] if record["kind"] in _COUNTED_BY_THEMSELVES else "others"
        rows[kind] += record["rows_loaded"]
        rows["left out"] += record["rows_left_out"]
    if not files:
        return []
    shown = dict(list(files.items())[:_MOST_FILES])
    if len(files) > 1:
        shown[f"{len(files):,} files"] = sum(files.values(), Counter())
    width = max(map(len, shown))
    header = f"{'Found in the files':{width}}  stories    epics  comments  other rows  left out"
    lines = [
        f"{name:{width}}  {rows['stories']:>7,}  {rows['epics']:>7,}  "
        f"{rows['stories__comments']:>8,}  {rows['others']:>10,}  {rows['left out']:>8,}"
        for name, rows in shown.items()
    ]
    return [header, *lines]


def _lost(left_out: dict[str, Any]) -> str:
    """How many rows were left out, and how many values of those loaded are missing."""
    told = ((left_out["rows"], "row"), (left_out["lost_values"], "value"))
    counts = [f"{number:,} {what}{'s' * (number != 1)}" for number, what in told if number]
    return f"Left out: {' and '.join(counts)}" if counts else "Nothing left out"


def _first_of(lines: list[str], what: str, where: str) -> list[str]:
    """As many lines as a person reads, and where the others are."""
    rest = len(lines) - MOST_LINES
    more = f"… and {rest:,} more {what}: {where} has them all."
    return lines if rest <= 0 else [*lines[:MOST_LINES], more]


def _files(outcome: Outcome) -> list[str]:
    """What became of the files of comments, where they were asked for."""
    files = outcome.noted.get("attachment_files", {}).get("files")
    if not files:
        return []
    line = (
        f"Files of comments: {files['downloaded']:,} downloaded ({files['bytes']:,} bytes), "
        f"{files['kept']:,} there already."
    )
    missing = f" {files['problems']:,} could not be had: attachment_files.problem says why."
    return [line + (missing if files["problems"] else "")]


def _replaced(counts: Counter[str]) -> list[str]:
    """What was not loaded as it came."""
    if not counts["replaced"]:
        return []
    return [
        f"{counts['replaced']:,} characters that no database can hold were loaded as "
        "\N{REPLACEMENT CHARACTER}."
    ]


def _views(outcome: Outcome) -> list[str]:
    """How many views there are, and which not."""
    views = outcome.views
    if views is None:
        return []
    if views.problem:
        return [f"Views: none, {views.problem}."]
    lines = [f"Views: {len(views.names)}."]
    return lines + [f"Left out: view {name}: {why}" for name, why in views.left_out.items()]


def _where(pipeline: dlt.Pipeline, outcome: Outcome) -> list[str]:
    """Where the data is now, and what to type to look at it."""
    place = pipeline.destination_client().config
    if isinstance(place.credentials, DuckDbBaseCredentials):
        database = Path(str(place.credentials.database)).resolve()
        tables = pipeline.default_schema.data_table_names()
        others = [name for name in tables if name not in _DERIVED_TABLES] or tables
        table, some = max(others, key=lambda name: outcome.written[name]), ""
        if "stories" in tables:
            table, some = "stories", ".select('name', 'current_state', 'estimate')"
        return [
            f"In {database}, dataset {pipeline.dataset_name}. To look at it:",
            f'  {sys.executable} -c "import duckdb; '
            f"print(duckdb.connect('{database}').table('{pipeline.dataset_name}.{table}')"
            f'{some}.limit(10))"',
            _IN_THE_BROWSER,
        ]
    return [
        f"In {pipeline.destination.destination_name}, dataset {pipeline.dataset_name}.",
        _IN_THE_BROWSER,
    ]
