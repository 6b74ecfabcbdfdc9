"""Loads a Tracker workspace into a database: options in, one pipeline run, a summary out."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import gc
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.destinations.impl.duckdb.configuration import DuckDbBaseCredentials
from dlt.extract import DltSource
from dlt.pipeline.progress import TCollectorArg
from dlt.pipeline.trace import PipelineTrace

from pivotal_tracker import (
    MissingTokenError,
    TrackerError,
    check_archives,
    check_server,
    pivotal_tracker_archive,
    pivotal_tracker_attachments,
    pivotal_tracker_source,
)

VERSION = "0.1.0"

ALL_LOADED, FAILED, BAD_OPTIONS, PARTLY_LOADED = 0, 1, 2, 3
_MOST_LINES = 20
"""So many lines of a kind are in the summary."""
_M_ARENA_MAX = -8
"""The number of glibc's setting in malloc.h; other systems have no `mallopt`, or ignore it."""

_LISTS = {"project_list", "account_list", "archives"}
"""The resources that only hand their list on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: As on the command line; those of the process if not given.

    Returns:
        0: all loaded; 3: loaded, but a project, or one of its tables, could not be read; 1: failed,
        and one line on stderr says why. Bad options end the process with 2.
    """
    options = _options(arguments)
    _set_up_logging(options)
    _suit_memory_to_pages()
    try:
        with _server_of(options):
            if options.check:
                return _check(options)
            return _load(options)
    except KeyboardInterrupt:
        _complain("Interrupted. Run the same command again: it completes what was begun.")
        return FAILED
    except Exception as error:
        if options.debug:
            raise
        _complain(_reason(error))
        return FAILED


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pivotal_tracker_pipeline.py",
        description="Loads a Pivotal Tracker workspace into a database with dlt.",
        epilog="The token comes from SOURCES__PIVOTAL_TRACKER__API_TOKEN or .dlt/secrets.toml, the "
        "server from SOURCES__PIVOTAL_TRACKER__BASE_URL or .dlt/config.toml. Exit codes: 0 all "
        "loaded, 3 loaded but a part could not be read, 1 failed, 2 bad options.",
    )
    add = parser.add_argument
    add("--sample", action="store_true", help="load a made-up workspace; needs no token")
    add("--archive", nargs="+", metavar="PATH", help="load files or folders instead of the API")
    add("--destination", default="duckdb", metavar="NAME", help="any dlt destination (%(default)s)")
    add("--dataset", default="tracker", metavar="NAME", help="its dataset (%(default)s)")
    add("--project", nargs="+", type=int, metavar="ID", help="only these projects")
    add("--resource", nargs="+", metavar="NAME", help="only these tables")
    add("--check", action="store_true", help="load nothing; say what the token and server offer")
    add(
        "--full-refresh",
        action="store_true",
        help="read everything again and rebuild the tables; activity, people and deleted_records "
        "are only ever added to",
    )
    add("--attachments", metavar="DIR", help="also download the files of comments into this folder")
    add(
        "--progress",
        choices=("log", "tqdm", "enlighten", "alive_progress"),
        help="how to show progress (tqdm on a terminal, log elsewhere)",
    )
    add("--verbose", action="store_true", help="say what is being done")
    add("--debug", action="store_true", help="say everything, with a traceback on failure")
    add("--version", action="version", version=f"pivotal-tracker {VERSION}, dlt {dlt.__version__}")
    options = parser.parse_args(arguments)
    for name in ("sample", "full_refresh") if options.archive else ():
        if getattr(options, name):
            parser.error(
                f"--{name.replace('_', '-')} does not go with --archive: an archive is always "
                "read whole, and added to what is there"
            )
    if options.dataset == _pipeline_name(options):
        parser.error(
            f"--dataset must not be called {options.dataset}: that is the pipeline's name, and "
            "DuckDB could not tell the dataset from its file"
        )
    return options


def _pipeline_name(options: argparse.Namespace) -> str:
    return "pivotal_tracker_sample" if options.sample else "pivotal_tracker"


def _set_up_logging(options: argparse.Namespace) -> None:
    level = "DEBUG" if options.debug else "INFO" if options.verbose else None
    if level:
        os.environ["RUNTIME__LOG_LEVEL"] = level


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
    from tracker_server import TrackerServer
    from tracker_server.made_up import made_up_workspace

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


def _load(options: argparse.Namespace) -> int:
    pipeline = dlt.pipeline(
        _pipeline_name(options),
        destination=options.destination,
        dataset_name=options.dataset,
        progress=_progress(options),
    )
    source = _archives(options) if options.archive else _server(options)
    with _kept_open(pipeline):
        if pipeline.has_pending_data:
            # a new run would put the interrupted one's package in the place of its own data
            pipeline.run()
        pipeline.run(source, loader_file_format="parquet")
        traces = [_last_trace(pipeline)]
        if options.attachments and not options.archive:
            files = pivotal_tracker_attachments(options.attachments)
            pipeline.run(files, loader_file_format="parquet")
            traces.append(_last_trace(pipeline))
    sys.stdout.write(summary(pipeline, traces) + "\n")
    metrics = _metrics(traces)
    return PARTLY_LOADED if _skipped(metrics) or _unread(metrics) else ALL_LOADED


def _server(options: argparse.Namespace) -> DltSource:
    projects = {"project_ids": options.project} if options.project else {}
    source = pivotal_tracker_source(full_refresh=options.full_refresh, **projects)
    return _selected(source, options.resource)


def _archives(options: argparse.Namespace) -> DltSource:
    projects = {"project_ids": options.project} if options.project else {}
    source = pivotal_tracker_archive(
        options.archive, attachments_directory=options.attachments, **projects
    )
    names = {*options.resource, "load_report"} if options.resource else None
    return _selected(source, names)


@contextlib.contextmanager
def _kept_open(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keeps DuckDB's file open: dlt opens it for each job, which takes longer than most of them."""
    client = pipeline.destination_client()
    if not isinstance(client.config.credentials, DuckDbBaseCredentials):
        yield
        return
    with client:
        yield


def _last_trace(pipeline: dlt.Pipeline) -> PipelineTrace:
    if pipeline.last_trace is None:
        raise TrackerError("dlt kept no record of the run.")
    return pipeline.last_trace


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


def summary(pipeline: dlt.Pipeline, traces: Sequence[PipelineTrace]) -> str:
    """What a person wants to know after a run: rows a table, what is missing, where it lies.

    Args:
        pipeline: Which has run.
        traces: Of what it ran: the source, perhaps the attachments.
    """
    metrics = _metrics(traces)
    written, became = Counter[str](), Counter[tuple[str, str]]()
    for resource, noted in metrics.items():
        written.update(noted.get("written", {}))
        became.update({(resource, what): n for what, n in noted.get("rows", {}).items()})
    width = max(map(len, written), default=0)
    lines = [
        f"{name:{width}}  {written[name]:>10,} rows{_became(name, became)}"
        for name in sorted({*written, *(name for name, what in +became if what == "deleted")})
    ]
    counts = _counts(metrics)
    seconds = sum((trace.finished_at - trace.started_at).total_seconds() for trace in traces)
    lines += [
        "",
        f"Loaded {written.total():,} rows in {seconds:.1f} s{_requests(counts)}.",
        *_unchanged(metrics),
        *(
            f"Skipped: project {project}, {resource}: {reason}"
            for resource, project, reason in _skipped(metrics)
        ),
        *(f"Not read to its end: {name}: {reason}" for name, reason in _unread(metrics).items()),
        *_lacking(metrics),
        *_left_out(metrics),
        *_load_report(metrics),
        *_files(metrics),
        *_replaced(counts),
        *_where(pipeline),
    ]
    return "\n".join(lines)


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
    unchanged = min((m["unchanged"] for m in metrics.values() if "unchanged" in m), default=0)
    vanished = [str(one) for m in metrics.values() for one in m.get("vanished", ())]
    lines = [f"Unchanged since the last run: {unchanged:,} projects."] if unchanged else []
    if vanished:
        lines.append(f"Not in the list of projects any more, rows kept: {', '.join(vanished)}")
    return lines


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
    fields = {field for noted in metrics.values() for field in noted.get("refused_fields", ())}
    if fields:
        lines.append(f"Fields that this server refuses: {', '.join(sorted(fields))}")
    return lines


def _left_out(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """Records that no table could take."""
    return [
        f"Left out: {noted['rows']['unusable']:,} records of {name}, which have no key."
        for name, noted in metrics.items()
        if noted.get("rows", {}).get("unusable")
    ]


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
    return [f"In {place.destination_name}, dataset {pipeline.dataset_name}."]


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
