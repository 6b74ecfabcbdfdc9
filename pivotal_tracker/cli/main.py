"""Loads a Tracker workspace into a database: options in, one pipeline run, a summary out."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltSource
from dlt.pipeline.progress import TCollectorArg
from dlt.pipeline.trace import PipelineTrace

from ..errors import TrackerError
from ..extract.shards import Shard
from ..load.dlt_defaults import set_defaults
from ..load.people_from_tables import gather_people
from ..load.row_counts import differences
from ..sources import (
    DERIVED_RESOURCES,
    pivotal_tracker_archive,
    pivotal_tracker_attachments,
    pivotal_tracker_source,
)
from ..views import create_views
from ..views.comments import write_comments
from .check import check_archives, check_server
from .error_messages import causes_of, reason
from .lock import AlreadyRunningError, alone
from .notifications import keep_variables_from_sentry, tell_sentry, tell_slack
from .options import parse_options, pipeline_name
from .outcome import Outcome
from .runner import Loading, suit_memory_to_pages
from .summary import remarks, summary, write_json

ALL_LOADED, FAILED, BAD_OPTIONS, PARTLY_LOADED, ALREADY_RUNNING = 0, 1, 2, 3, 4
_INTERRUPTED = "Interrupted. Run the same command again: it completes what was begun."

_OF_EVERY_TABLE = ("native writer", "Falling back to `append`", 'The "hard_delete" column hint')
"""What dlt warns of for each table: of Postgres, where it loads as fast that way; of plain files,
whose rows the source does not change."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: As on the command line; those of the process if not given.

    Returns:
        0: all loaded; 3: loaded, but a project, or one of its tables, could not be read; 1: failed,
        and one line on stderr says why; 4: another run is under way. Bad options end the process
        with 2.
    """
    options = parse_options(arguments)
    suit_memory_to_pages()
    began, outcome = datetime.now(UTC), Outcome()
    exit_code, problem = FAILED, ""
    try:
        _set_up_dlt(options)
        with _server_of(options):
            exit_code = _check(options) if options.check else _load_alone(options, outcome)
    except KeyboardInterrupt:
        problem = _INTERRUPTED
    except AlreadyRunningError as error:
        exit_code, problem = ALREADY_RUNNING, str(error)
    except Exception as error:
        # dlt wraps it in errors of its own
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes_of(error)):
            problem = _INTERRUPTED
        else:
            problem = reason(error)
            _tell_of_failure(options, error)
        if options.debug:
            raise
    finally:
        if options.summary:
            told = {"exit_code": exit_code, "reason": problem or None, **outcome.as_json()}
            _write_summary(options.summary, began, told)
    if problem:
        _complain(problem)
    return exit_code


def _write_summary(path: Path, began: datetime, told: dict[str, Any]) -> None:
    try:
        write_json(path, began, told)
    except TrackerError as error:
        _complain(str(error))


def _complain(line: str) -> None:
    sys.stderr.write(f"pivotal_tracker: {line}\n")


def _set_up_dlt(options: argparse.Namespace) -> None:
    # dlt reads these two once, before anything can be registered with it
    level = "DEBUG" if options.debug else "INFO" if options.verbose else None
    if level:
        os.environ["RUNTIME__LOG_LEVEL"] = level
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    set_defaults()
    if options.shard is None:
        is_elsewhere = options.archive or options.sample
        told = None if is_elsewhere else dlt.config.get("sources.pivotal_tracker.shard")
        options.shard = Shard.parsed(told or "")
    keep_variables_from_sentry()
    said_by_dlt = logging.getLogger("dlt")
    said_by_dlt.addFilter(
        lambda said: not any(words in said.getMessage() for words in _OF_EVERY_TABLE)
    )
    if not options.debug:
        said_by_dlt.addFilter(_without_traceback)


def _without_traceback(said: logging.LogRecord) -> bool:
    """Takes out of what dlt logs the traceback, which it writes into the text too, and keeps it.

    One for each try of each job would hide the line in which the run says what went wrong.
    """
    said.msg, said.args = said.getMessage().partition("Traceback (most recent")[0].rstrip(), ()
    said.exc_info = said.exc_text = None
    return True


@contextlib.contextmanager
def _server_of(options: argparse.Namespace) -> Iterator[None]:
    """With `--sample`, a server of a made-up workspace that the source is pointed at."""
    if not options.sample:
        yield
        return
    try:
        from tracker_server import TrackerServer
        from tracker_server.sample import generate_workspace
    except ModuleNotFoundError as error:
        raise TrackerError(
            f"--sample needs the server of a made-up workspace, and {error.name} is missing: "
            "pip install -r requirements.txt, or the package with its extra [server]."
        ) from error

    workspace = generate_workspace()
    with TrackerServer(workspace) as server:
        # told, as what the configuration says is of another server
        options.source |= {
            "base_url": server.url,
            "api_token": workspace.me["api_token"],
            "project_ids": options.project,
        }
        yield


def _check(options: argparse.Namespace) -> int:
    """Prints whose token it is, which projects it sees, and what the server offers."""
    findings = (
        check_archives(options.archive) if options.archive else check_server(**options.source)
    )
    sys.stdout.write("\n".join(findings.lines) + "\n")
    return ALL_LOADED if findings.usable else FAILED


def _load_alone(options: argparse.Namespace, outcome: Outcome) -> int:
    """Loads, while no other run of the same pipeline does, and prints what came of it."""
    with alone(pipeline_name(options)):
        pipeline = dlt.pipeline(
            pipeline_name(options),
            destination=options.destination,
            dataset_name=options.dataset,
            progress=_progress(options),
        )
        outcome.place = {
            "destination": pipeline.destination.destination_name,
            "dataset": pipeline.dataset_name,
            "shard": str(options.shard),
        }
        loading = Loading(pipeline, options.shard)
        source = (_archives if options.archive else _server)(options, loading)
        with loading:
            _load(loading, source, options, outcome)
    sys.stdout.write(summary(pipeline, outcome) + "\n")
    if outcome.written.total() or outcome.skipped or outcome.differences:
        # of a night in which nothing happened nobody needs to hear
        place = f"{pipeline.pipeline_name}, dataset {pipeline.dataset_name}"
        tell_slack(f"{place}. {remarks(outcome)}")
    return PARTLY_LOADED if outcome.is_partial else ALL_LOADED


def _load(
    loading: Loading, source: DltSource, options: argparse.Namespace, outcome: Outcome
) -> None:
    """Loads the source and what is wanted beside it, and notes it as far as it came."""
    pipeline = loading.pipeline
    loading.complete_interrupted_run()
    outcome.set_aside = loading.set_aside
    try:
        _run(loading, source, options, outcome.traces)
    except BaseException:
        if not outcome.traces and pipeline.last_trace is not None:
            outcome.traces.append(pipeline.last_trace)
        raise
    outcome.differences = differences(pipeline, outcome.noted)
    # another shard's run would make them at the same time
    if options.shard.has_accounts:
        write_comments(pipeline)
        if not options.no_views:
            outcome.views = create_views(pipeline)


def _run(
    loading: Loading, source: DltSource, options: argparse.Namespace, traces: list[PipelineTrace]
) -> None:
    """Loads the source, then the rest; adds what dlt noted of each run."""
    traces.append(loading.run(source))
    if not options.shard.is_whole and "people" in source.selected_resources:
        gather_people(loading.pipeline)
    if options.attachments and not options.archive:
        files = pivotal_tracker_attachments(
            options.attachments, shard=str(options.shard), **options.source
        )
        traces.append(loading.run(files))


def _tell_of_failure(options: argparse.Namespace, error: Exception) -> None:
    """Tells whoever is to be told that a load failed."""
    if options.check:
        return
    # without a package that its settings ask for, dlt cannot even read those settings
    with contextlib.suppress(ImportError):
        tell_slack(f"{pipeline_name(options)} failed. {reason(error)}")
        tell_sentry(error)


def _server(options: argparse.Namespace, loading: Loading) -> DltSource:
    source = pivotal_tracker_source(
        full_refresh=options.full_refresh,
        accept_deletions=options.accept_deletions,
        shard=str(options.shard),
        **options.source,
    )
    return _selected(source, options.resource)


def _archives(options: argparse.Namespace, loading: Loading) -> DltSource:
    source = pivotal_tracker_archive(
        options.archive,
        attachments_directory=options.attachments,
        **options.source,
    )
    return _selected(source, options.resource, "load_report")


def _progress(options: argparse.Namespace) -> TCollectorArg:
    if options.progress == "log" or (options.progress is None and not sys.stderr.isatty()):
        return dlt.progress.log(log_period=10, logger=sys.stderr, dump_system_stats=False)
    return options.progress or "tqdm"


def _selected(source: DltSource, names: Collection[str] | None, *always: str) -> DltSource:
    """Select resources, with the derived ones whose records come from them."""
    if not names:
        return source
    derived = [name for name, origins in DERIVED_RESOURCES.items() if not origins.isdisjoint(names)]
    return source.with_resources(*dict.fromkeys([*names, *derived, *always]))
