"""Loads a Tracker workspace into a database: options in, one pipeline run, a summary out."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import gc
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.impl.duckdb.configuration import DuckDbBaseCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.progress import TCollectorArg
from dlt.pipeline.trace import PipelineTrace

from pivotal_tracker import (
    Difference,
    MissingTokenError,
    Shard,
    TrackerError,
    check_archives,
    check_server,
    differences,
    gather_people,
    pivotal_tracker_archive,
    pivotal_tracker_attachments,
    pivotal_tracker_source,
)
from pivotal_tracker.defaults import set_defaults
from pivotal_tracker.views import Views, create_views
from pivotal_tracker.watching import (
    AlreadyRunningError,
    alone,
    keep_variables_from_sentry,
    tell_sentry,
    tell_slack,
)

VERSION = "0.1.0"

ALL_LOADED, FAILED, BAD_OPTIONS, PARTLY_LOADED, ALREADY_RUNNING = 0, 1, 2, 3, 4
_MEMORY_OF_DUCKDB = "1GB"
"""What DuckDB keeps in memory while it loads; what is more waits on disk."""
_MOST_LINES = 20
"""So many lines of a kind are in the summary."""
_M_ARENA_MAX = -8
"""The number of glibc's setting in malloc.h; other systems have no `mallopt`, or ignore it."""

_OF_EVERY_TABLE = ("native writer", "Falling back to `append`", 'The "hard_delete" column hint')
"""What dlt warns of for each table: of Postgres, where it loads as fast that way; of plain files,
whose rows the source does not change; and of tables that are made anew."""

_TRIES = 5
"""So often is a load tried again that the load of another shard may have got in the way of."""
_LISTS = {"project_list", "account_list", "archives"}
"""The resources that only hand their list on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: As on the command line; those of the process if not given.

    Returns:
        0: all loaded; 3: loaded, but a project, or one of its tables, could not be read; 1: failed,
        and one line on stderr says why; 4: another run is under way. Bad options end the process
        with 2.
    """
    options = _options(arguments)
    _suit_memory_to_pages()
    report: dict[str, Any] = {"exit_code": FAILED, "reason": None}
    began = datetime.now(UTC)
    try:
        _set_up_dlt(options)
        with _server_of(options):
            if options.check:
                report["exit_code"] = _check(options)
            else:
                with alone(_pipeline_name(options)):
                    report["exit_code"] = _load(options, report)
    except KeyboardInterrupt:
        report["reason"] = "Interrupted. Run the same command again: it completes what was begun."
    except AlreadyRunningError as error:
        report |= {"exit_code": ALREADY_RUNNING, "reason": str(error)}
    except Exception as error:
        report["reason"] = _reason(error)
        if not options.check:
            _tell_of_failure(_pipeline_name(options), error)
        if options.debug:
            raise
    finally:
        if options.summary:
            _write_report(options.summary, began, report)
    if report["reason"]:
        _complain(report["reason"])
    return int(report["exit_code"])


def command_line() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        description="Loads a Pivotal Tracker workspace into a database with dlt.",
        epilog="The token comes from SOURCES__PIVOTAL_TRACKER__API_TOKEN or .dlt/secrets.toml, the "
        "server from SOURCES__PIVOTAL_TRACKER__BASE_URL or .dlt/config.toml. Exit codes: 0 all "
        "loaded, 3 loaded but a part could not be read, 1 failed, 2 bad options, 4 another run is "
        "under way.",
    )
    add = parser.add_argument
    add("--sample", action="store_true", help="load a made-up workspace; needs no token")
    add("--archive", nargs="+", metavar="PATH", help="load files or folders instead of the API")
    add("--destination", default="duckdb", metavar="NAME", help="any dlt destination (%(default)s)")
    add("--dataset", default="tracker", metavar="NAME", help="its dataset (%(default)s)")
    add("--project", nargs="+", type=int, metavar="ID", help="only these projects")
    add("--resource", nargs="+", metavar="NAME", help="only these tables")
    add(
        "--shard",
        default=dlt.config.get("sources.pivotal_tracker.shard") or "",
        metavar="N/OF",
        help="only one part of the projects: 2/5 for the second of five, which may run at once",
    )
    add("--check", action="store_true", help="load nothing; say what the token and server offer")
    add(
        "--full-refresh",
        action="store_true",
        help="read everything again and rebuild the tables; activity, people and deleted_records "
        "are only ever added to",
    )
    add("--no-views", action="store_true", help="leave out the views of Tracker's metrics")
    add("--attachments", metavar="DIR", help="also download the files of comments into this folder")
    add(
        "--progress",
        choices=("log", "tqdm", "enlighten", "alive_progress"),
        help="how to show progress (tqdm on a terminal, log elsewhere)",
    )
    add(
        "--summary",
        type=Path,
        metavar="FILE",
        help="write what the run did to a JSON file, also when it fails",
    )
    add("--verbose", action="store_true", help="say what is being done")
    add("--debug", action="store_true", help="say everything, with a traceback on failure")
    add("--version", action="version", version=f"pivotal-tracker {VERSION}, dlt {dlt.__version__}")
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line()
    options = parser.parse_args(arguments)
    try:
        options.shard = Shard.parsed(options.shard)
    except TrackerError as error:
        parser.error(str(error))
    if options.archive and not options.shard.is_whole:
        parser.error("--shard does not go with --archive: files are read as one whole")
    for name in ("sample", "full_refresh") if options.archive else ():
        if getattr(options, name):
            parser.error(
                f"--{name.replace('_', '-')} does not go with --archive: an archive is always "
                "read whole, and added to what is there"
            )
    if options.summary and not options.summary.parent.is_dir():
        parser.error(f"--summary: there is no folder {options.summary.parent}")
    if options.dataset == _pipeline_name(options):
        parser.error(
            f"--dataset must not be called {options.dataset}: that is the pipeline's name, and "
            "DuckDB could not tell the dataset from its file"
        )
    return options


def _pipeline_name(options: argparse.Namespace) -> str:
    name = "pivotal_tracker_sample" if options.sample else "pivotal_tracker"
    return name if options.shard.is_whole else f"{name}_shard_{options.shard.name}"


def _set_up_dlt(options: argparse.Namespace) -> None:
    # dlt reads these two once, before anything can be registered with it
    level = "DEBUG" if options.debug else "INFO" if options.verbose else None
    if level:
        os.environ["RUNTIME__LOG_LEVEL"] = level
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    set_defaults()
    keep_variables_from_sentry()
    logging.getLogger("dlt").addFilter(
        lambda said: not any(words in said.getMessage() for words in _OF_EVERY_TABLE)
    )


def _suit_memory_to_pages() -> None:
    """Has memory managed for what a run is made of: pages of many objects, fetched by threads."""
    # they hold no cycles: looking for some as often as usual took a tenth of a load
    gc.set_threshold(200_000)
    # one heap for all threads: those of their own kept 300 MB of 100,000 stories for nothing
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def _server_of(options: argparse.Namespace) -> Iterator[None]:
    """With `--sample`, a server of a made-up workspace that the source is pointed at."""
    if not options.sample:
        yield
        return
    try:
        from tracker_server import TrackerServer
        from tracker_server.made_up import made_up_workspace
    except ModuleNotFoundError as error:
        raise TrackerError(
            f"--sample needs the server of a made-up workspace, and {error.name} is missing: "
            "pip install -r requirements.txt, or the package with its extra [server]."
        ) from error

    workspace = made_up_workspace()
    with TrackerServer(workspace) as server:
        dlt.config["sources.pivotal_tracker.base_url"] = server.url
        dlt.secrets["sources.pivotal_tracker.api_token"] = workspace.me["api_token"]
        yield


def _check(options: argparse.Namespace) -> int:
    """Prints whose token it is, which projects it sees, and what the server offers."""
    findings = check_archives(options.archive) if options.archive else check_server()
    sys.stdout.write("\n".join(findings.lines) + "\n")
    return ALL_LOADED if findings.usable else FAILED


def _load(options: argparse.Namespace, report: dict[str, Any]) -> int:
    """Runs the pipeline, prints the summary, and notes it in the report as far as it came."""
    pipeline = dlt.pipeline(
        _pipeline_name(options),
        destination=options.destination,
        dataset_name=options.dataset,
        progress=_progress(options),
    )
    _suit_load_to(pipeline)
    if not options.shard.is_whole:
        # the tables in it are emptied by each run
        name = f"destination.{pipeline.destination.destination_name}.staging_dataset_name_layout"
        dlt.config[name] = f"%s_staging_{options.shard.name}"
    report["place"] = {
        "destination": pipeline.destination.destination_name,
        "dataset": pipeline.dataset_name,
        "shard": str(options.shard),
    }
    source = _archives(options) if options.archive else _server(options)
    traces: list[PipelineTrace] = []
    with _kept_open(pipeline):
        _complete_interrupted_run(pipeline, options.shard)
        try:
            _run(pipeline, source, options, traces)
        finally:
            report |= _report(_metrics(traces or [_last_trace(pipeline)]))
        found = differences(pipeline, _metrics(traces))
        # another shard's run would make them at the same time
        wants_views = not options.no_views and options.shard.has_accounts
        views = create_views(pipeline) if wants_views else None
    report["differences"] = [asdict(one) | {"is_loss": one.is_loss} for one in found]
    report["views_left_out"] = views.left_out if views else {}
    sys.stdout.write(summary(pipeline, traces, found, views) + "\n")
    _tell_of(pipeline, traces)
    metrics = _metrics(traces)
    is_partial = _skipped(metrics) or _unread(metrics) or any(one.is_loss for one in found)
    return PARTLY_LOADED if is_partial else ALL_LOADED


def _run(
    pipeline: dlt.Pipeline,
    source: DltSource,
    options: argparse.Namespace,
    traces: list[PipelineTrace],
) -> None:
    """Loads the source, and what is wanted beside it; adds what dlt noted of each run."""
    traces.append(_patiently(pipeline, options.shard, lambda: pipeline.run(source)))
    if not options.shard.is_whole and "people" in source.selected_resources:
        gather_people(pipeline)
    if options.attachments and not options.archive:
        files = pivotal_tracker_attachments(options.attachments, shard=str(options.shard))
        traces.append(_patiently(pipeline, options.shard, lambda: pipeline.run(files)))


def _server(options: argparse.Namespace) -> DltSource:
    projects = {"project_ids": options.project} if options.project else {}
    source = pivotal_tracker_source(
        full_refresh=options.full_refresh, shard=str(options.shard), **projects
    )
    return _selected(source, options.resource)


def _archives(options: argparse.Namespace) -> DltSource:
    projects = {"project_ids": options.project} if options.project else {}
    source = pivotal_tracker_archive(
        options.archive, attachments_directory=options.attachments, **projects
    )
    names = {*options.resource, "load_report"} if options.resource else None
    return _selected(source, names)


def _complete_interrupted_run(pipeline: dlt.Pipeline, shard: Shard) -> None:
    """Loads what an earlier run has read: a new run would load that and drop its own data."""
    # killed between two steps, dlt keeps a package that it has normalized among those to normalize,
    # and then stumbles over itself
    for load_id in pipeline.list_normalized_load_packages():
        if load_id in pipeline.list_extracted_load_packages():
            pipeline._get_normalize_storage().extracted_packages.delete_package(load_id)
    if pipeline.has_pending_data:
        _patiently(pipeline, shard, pipeline.run)


@contextlib.contextmanager
def _kept_open(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keeps DuckDB's file open: dlt opens it for each job, which takes longer than most of them."""
    client = pipeline.destination_client()
    if not isinstance(client, DuckDbClient):
        yield
        return
    with client:
        if "memory_limit" not in (client.config.credentials.global_config or {}):
            # of itself it takes what it can get: 4.5 GB of a million stories
            client.sql_client.execute_sql(f"SET memory_limit = '{_MEMORY_OF_DUCKDB}'")
        yield


def _last_trace(pipeline: dlt.Pipeline) -> PipelineTrace:
    if pipeline.last_trace is None:
        raise TrackerError("dlt kept no record of the run.")
    return pipeline.last_trace


def _patiently(pipeline: dlt.Pipeline, shard: Shard, run: Callable[[], Any]) -> PipelineTrace:
    """Runs a pipeline; of a shard, loads again what failed, as another's load may be the reason.

    Returns:
        What dlt noted of the run, its extraction included.
    """
    try:
        run()
    except PipelineStepFailed as error:
        if shard.is_whole or error.step != "load":
            raise
        trace = _last_trace(pipeline)
        _load_again(pipeline)
        return trace
    return _last_trace(pipeline)


def _load_again(pipeline: dlt.Pipeline) -> None:
    for attempt in range(1, _TRIES + 1):
        # two that make the same table at once fail in step, and would again
        time.sleep(random.uniform(1, 2) * attempt)
        try:
            pipeline.load()
            break
        except PipelineStepFailed:
            if attempt == _TRIES:
                raise


def _suit_load_to(pipeline: dlt.Pipeline) -> None:
    """Has DuckDB load few files at once, each of which takes memory; a server may take many."""
    is_duckdb = pipeline.destination.destination_type == "dlt.destinations.duckdb"
    if is_duckdb and dlt.config.get("load.workers") is None:
        dlt.config["load.workers"] = 2


def _progress(options: argparse.Namespace) -> TCollectorArg:
    if options.progress == "log" or (options.progress is None and not sys.stderr.isatty()):
        return dlt.progress.log(log_period=10, logger=sys.stderr, dump_system_stats=False)
    return options.progress or "tqdm"


def _selected(source: DltSource, names: Collection[str] | None) -> DltSource:
    offered = [name for name in source.resources if name not in _LISTS]
    unknown = set(names or ()) - set(offered)
    if unknown:
        raise TrackerError(
            f"There is no table {', '.join(sorted(unknown))}. --resource takes: "
            f"{', '.join(offered)}."
        )
    return source.with_resources(*names) if names else source


def _report(metrics: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the resources noted, in the form of the JSON summary."""
    counts = _counts(metrics)
    written = Counter[str]()
    for noted in metrics.values():
        written.update(noted.get("written", {}))
    became = {name: dict(noted["rows"]) for name, noted in metrics.items() if "rows" in noted}
    return {
        "requests": counts["requests"],
        "retries": counts["attempts"] - counts["requests"],
        "tables": {
            name: {"written": written[name], **became.get(name, {})}
            for name in sorted({*written, *became})
        },
        "projects_unchanged": _projects_unchanged(metrics),
        "projects_not_seen": _projects_not_seen(metrics),
        "skipped": [
            {"table": table, "project_id": int(project), "reason": reason}
            for table, project, reason in _skipped(metrics)
        ],
        **{
            what: {name: noted[what] for name, noted in metrics.items() if what in noted}
            for what in ("not_offered", "not_permitted")
        },
        "refused_fields": _refused_fields(metrics),
        "characters_replaced": counts["replaced"],
        "files": metrics.get("attachment_files", {}).get("files"),
    }


def _write_report(path: Path, began: datetime, report: dict[str, Any]) -> None:
    ended = datetime.now(UTC)
    told = {
        "began_at": began.isoformat(timespec="seconds"),
        "seconds": round((ended - began).total_seconds(), 3),
        **report,
    }
    try:
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        _complain(f"The summary cannot be written: {error}")


def _tell_of_failure(name: str, error: BaseException) -> None:
    """Tells whoever is to be told that a run failed."""
    # without a package that its settings ask for, dlt cannot even read those settings
    with contextlib.suppress(ImportError):
        tell_slack(f"{name} failed. {_reason(error)}")
        tell_sentry(error)


def _tell_of(pipeline: dlt.Pipeline, traces: Sequence[PipelineTrace]) -> None:
    """Tells Slack, if it is to be told, of a run that wrote anything or left a part out."""
    metrics = _metrics(traces)
    if _written(metrics).total() or _skipped(metrics):
        remarks = "\n".join(_remarks(traces))
        tell_slack(f"{pipeline.pipeline_name}, dataset {pipeline.dataset_name}. {remarks}")


def _written(metrics: dict[str, dict[str, Any]]) -> Counter[str]:
    """Rows written, by table."""
    written = Counter[str]()
    for noted in metrics.values():
        written.update(noted.get("written", {}))
    return written


def summary(
    pipeline: dlt.Pipeline,
    traces: Sequence[PipelineTrace],
    found: Sequence[Difference] = (),
    views: Views | None = None,
) -> str:
    """What a person wants to know after a run: rows a table, what is missing, where it lies.

    Args:
        pipeline: Which has run.
        traces: Of what it ran: the source, perhaps the attachments.
        found: The lists whose numbers of rows do not agree.
        views: What became of them, if they were wanted.
    """
    metrics = _metrics(traces)
    written, became = _written(metrics), Counter[tuple[str, str]]()
    for resource, noted in metrics.items():
        became.update({(resource, what): n for what, n in noted.get("rows", {}).items()})
    width = max(map(len, written), default=0)
    lines = [
        f"{name:{width}}  {written[name]:>10,} rows{_became(name, became)}"
        for name in sorted({*written, *(name for name, what in +became if what == "deleted")})
    ]
    return "\n".join([*lines, "", *_remarks(traces, found), *_views(views), *_where(pipeline)])


def _remarks(traces: Sequence[PipelineTrace], found: Sequence[Difference] = ()) -> list[str]:
    """What there is to say of a run as a whole."""
    metrics = _metrics(traces)
    counts = _counts(metrics)
    seconds = sum((trace.finished_at - trace.started_at).total_seconds() for trace in traces)
    return [
        f"Loaded {_written(metrics).total():,} rows in {seconds:.1f} s{_requests(counts)}.",
        *_unchanged(metrics),
        *(
            f"Skipped: project {project}, {resource}: {reason}"
            for resource, project, reason in _skipped(metrics)
        ),
        *(f"Not read to its end: {name}: {reason}" for name, reason in _unread(metrics).items()),
        *_lacking(metrics),
        *_left_out(metrics),
        *_differing(found),
        *_load_report(metrics),
        *_files(metrics),
        *_replaced(counts),
    ]


def _requests(counts: Counter[str]) -> str:
    """What was asked of a server, if any was."""
    if not counts:
        return ""
    repeated = counts["attempts"] - counts["requests"]
    return f", {counts['requests']:,} requests ({repeated:,} repeated)"


def _became(name: str, became: Counter[tuple[str, str]]) -> str:
    """How many records of a resource were new, changed, deleted; nothing for a nested table."""
    told = [f"{became[name, what]:,} {what}" for what in ("new", "changed", "deleted")]
    return f"   {', '.join(told)}" if (name, "new") in became else ""


def _metrics(traces: Sequence[PipelineTrace]) -> dict[str, dict[str, Any]]:
    """What each resource noted of its reading, by its name."""
    return {
        name: metrics.custom_metrics
        for trace in traces
        if trace.last_extract_info is not None
        for steps in trace.last_extract_info.metrics.values()
        for step in steps
        for name, metrics in step["resource_metrics"].items()
    }


def _counts(metrics: dict[str, dict[str, Any]]) -> Counter[str]:
    """What the clients counted."""
    # every resource of a source notes the same client's counts
    files = Counter[str](metrics.get("attachment_files", {}).get("counts"))
    others = (m for name, m in metrics.items() if name != "attachment_files")
    return files + Counter(next((m["counts"] for m in others if "counts" in m), {}))


def _skipped(metrics: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Which resource of which project could not be read, and why."""
    not_listed = {
        k: v for noted in metrics.values() for k, v in noted.get("not_listed", {}).items()
    }
    return [("projects", project, reason) for project, reason in not_listed.items()] + [
        (resource, project, reason)
        for resource, noted in metrics.items()
        for project, reason in noted.get("skipped", {}).items()
    ]


def _unread(metrics: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Which archives could not be read, or not to their end, and why."""
    unread: dict[str, str] = metrics.get("load_report", {}).get("unread", {})
    return unread


def _unchanged(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """How many projects were not read again, and which are not in the list any more."""
    unchanged = _projects_unchanged(metrics)
    vanished = [str(one) for one in _projects_not_seen(metrics)]
    lines = [f"Unchanged since the last run: {unchanged:,} projects."] if unchanged else []
    if vanished:
        lines.append(f"Not in the list of projects any more, rows kept: {', '.join(vanished)}")
    return lines


def _projects_unchanged(metrics: dict[str, dict[str, Any]]) -> int:
    return min((m["unchanged"] for m in metrics.values() if "unchanged" in m), default=0)


def _projects_not_seen(metrics: dict[str, dict[str, Any]]) -> list[int]:
    return [one for m in metrics.values() for one in m.get("vanished", ())]


def _refused_fields(metrics: dict[str, dict[str, Any]]) -> list[str]:
    return sorted({field for m in metrics.values() for field in m.get("refused_fields", ())})


def _lacking(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """What this server does not offer, to anyone or to this token."""
    lines = []
    for noted_as, problem in (
        ("not_offered", "Not offered by this server"),
        ("not_permitted", "Not permitted to this token"),
    ):
        names = {name for name, noted in metrics.items() if noted_as in noted}
        if names:
            lines.append(f"{problem}: {', '.join(sorted(names))}")
    if fields := _refused_fields(metrics):
        lines.append(f"Fields that this server refuses: {', '.join(fields)}")
    return lines


def _left_out(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """Records that no table could take."""
    return [
        f"Left out: {noted['rows']['unusable']:,} records of {name}, which have no key."
        for name, noted in metrics.items()
        if noted.get("rows", {}).get("unusable")
    ]


def _differing(found: Sequence[Difference]) -> list[str]:
    """The lists whose numbers of rows do not agree, lost rows first."""
    told = sorted(found, key=lambda one: not one.is_loss)
    lines = [f"{'Rows are missing' if one.is_loss else 'Counted'}: {one}" for one in told]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"… and {len(lines) - _MOST_LINES:,} lists more (--summary FILE)"]
    return lines


def _load_report(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """What became of the rows of each file, where files were loaded."""
    told = metrics.get("load_report", {})
    files: dict[tuple[str, str], Counter[str]] = {}
    for record in told.get("report", ()):
        rows = files.setdefault((record["source"], record["format"]), Counter())
        rows.update({what: record[f"rows_{what}"] for what in ("read", "loaded", "left_out")})
    lines = [
        f"{source} ({form}): {rows['read']:,} rows read, {rows['loaded']:,} loaded, "
        f"{rows['left_out']:,} left out."
        for (source, form), rows in files.items()
    ]
    reasons = [
        f"{_lost(one)} of {record['kind']} in {record['source']}: "
        f"{one['reason']}{', first ' + one['where'] if one['where'] else ''}."
        for record in told.get("report", ())
        for one in record["left_out"]
    ]
    others = [f"Not an archive, left alone: {name}" for name in told.get("ignored", ())]
    return _first_of(lines, "files") + _first_of(reasons, "reasons") + _first_of(others, "files")


def _lost(left_out: dict[str, Any]) -> str:
    """How many rows were left out, and how many values of those loaded are missing."""
    told = ((left_out["rows"], "rows"), (left_out["lost_values"], "values"))
    return "Left out: " + " and ".join(f"{number:,} {what}" for number, what in told if number)


def _first_of(lines: list[str], what: str) -> list[str]:
    """As many lines as a person reads; the table `load_report` has them all."""
    rest = len(lines) - _MOST_LINES
    told = f"… and {rest:,} more {what}: the table load_report has them all."
    return lines if rest <= 0 else [*lines[:_MOST_LINES], told]


def _files(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """What became of the files of comments, where they were asked for."""
    files = metrics.get("attachment_files", {}).get("files")
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


def _views(views: Views | None) -> list[str]:
    """How many views there are, and which not."""
    if views is None:
        return []
    if views.problem:
        return [f"Views: none, {views.problem}."]
    lines = [f"Views: {len(views.names)}."]
    return lines + [f"Left out: view {name}: {why}" for name, why in views.left_out.items()]


def _where(pipeline: dlt.Pipeline) -> list[str]:
    """Where the data is now, and what to type to look at it."""
    place = pipeline.destination_client().config
    if isinstance(place.credentials, DuckDbBaseCredentials):
        database = Path(str(place.credentials.database)).resolve()
        stories = f"{pipeline.dataset_name}.stories"
        return [
            f"In {database}, dataset {pipeline.dataset_name}. To look at it:",
            f'  {sys.executable} -c "import duckdb; '
            f"print(duckdb.connect('{database}').table('{stories}')"
            ".select('name', 'current_state', 'estimate').limit(10))\"",
        ]
    return [f"In {pipeline.destination.destination_name}, dataset {pipeline.dataset_name}."]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reason(error: BaseException) -> str:
    """One line: what went wrong and what to do."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, TrackerError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):
            return _missing_setting(cause)
        if isinstance(cause, MissingDependencyException):
            packages = " ".join(f'"{package}"' for package in cause.dependencies)
            return f"A package is missing, for {cause.caller}: pip install {packages}"
        if "No space left on device" in str(cause) or (
            isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        ):
            return (
                "The disk is full. Make room and run the same command again: it completes what "
                "was begun."
            )
        if "Could not set lock on file" in str(cause):
            return (
                "The database is in use by another program, and DuckDB lets only one write. Close "
                "it and run the same command again: it completes what was begun."
            )
    innermost = " ".join(str(causes[-1]).split())
    return f"{type(causes[-1]).__name__}: {innermost[:500]} (--debug shows more)"


def _missing_setting(error: ConfigFieldMissingException) -> str:
    names = ", ".join(error.fields)
    if "api_token" in error.fields:
        return str(MissingTokenError())
    return (
        f"A setting is missing: {names}. Set it in .dlt/config.toml, .dlt/secrets.toml or the "
        "environment."
    )


def _complain(line: str) -> None:
    sys.stderr.write(f"pivotal_tracker: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
