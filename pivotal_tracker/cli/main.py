"""The command: parse the options, run the pipeline once, print a summary."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import dlt
from dlt.common.configuration.exceptions import ConfigProviderException
from dlt.extract import DltSource
from dlt.pipeline.trace import PipelineTrace

from ..errors import TrackerError
from ..extract.shards import Shard
from ..load.dlt_defaults import apply_dlt_defaults
from ..load.people_from_tables import refresh_people
from ..load.row_counts import differences
from ..redaction import redact, redact_values
from ..settings import COMMENT_PART_SIZE
from ..sources import (
    DERIVED_RESOURCES,
    pivotal_tracker_archive,
    pivotal_tracker_attachments,
    pivotal_tracker_source,
)
from ..views import create_views
from ..views.comments import write_comments
from .check import check_archives, check_server
from .duckdb_file import without_unused_packages
from .error_messages import causes_of, reason
from .lock import AlreadyRunningError, pipeline_lock
from .memory import tune_process_memory
from .notifications import capture_in_sentry, disable_sentry_locals, notify_slack
from .options import parse_options, pipeline_name
from .outcome import Outcome
from .parts import load_remaining_parts
from .programs import add_to_path
from .progress import progress_collector
from .runner import Loading
from .secret_values import collect_secrets, redacted_output
from .summary import as_json, remarks, summary
from .telemetry import trace_runs
from .terminal import replace_unprintable_characters, write_error, write_summary

ALL_LOADED, FAILED, PARTLY_LOADED, ALREADY_RUNNING = 0, 1, 3, 4
_INTERRUPTED = "Interrupted. Run the same command again: it continues this run."

_WARNINGS_OF_EVERY_TABLE = (
    "native writer",  # Postgres, which loads as fast that way
    "Falling back to `append`",  # plain files, whose rows the source does not change
    'The "hard_delete" column hint',
)
"""Warnings of dlt for each table that mean nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The arguments; default: those of the process.

    Returns:
        0: everything loaded; 3: loaded, but a project, or one of its tables, could not be read;
        1: failed, and one line on stderr says why; 4: another run is in progress. Invalid options
        end the process with 2.
    """
    replace_unprintable_characters()
    with redacted_output():
        return _run_command(arguments)


def _run_command(arguments: Sequence[str] | None) -> int:
    options = parse_options(arguments)
    tune_process_memory()
    started_at, outcome = datetime.now(UTC), Outcome()
    exit_code, problem = FAILED, ""
    try:
        _set_up_dlt(options)
        collect_secrets()
        with _sample_server(options):
            exit_code = (_check if options.check else _load_with_lock)(options, outcome)
    except BaseException as error:
        with contextlib.suppress(ConfigProviderException):
            collect_secrets()
        exit_code, problem = _failure(options, error)
        if options.debug and exit_code == FAILED and isinstance(error, Exception):
            # printed here: the interpreter would print it with secrets
            traceback.print_exc()
    finally:
        _report(options, exit_code, problem, started_at, outcome)
        trace_runs(outcome.traces, exit_code, redact(problem))
    if problem:
        write_error(problem)
    return exit_code


def _failure(options: argparse.Namespace, error: BaseException) -> tuple[int, str]:
    """Return the exit code of an error and a line that says what went wrong; send notifications."""
    # dlt wraps it in its own errors
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes_of(error)):
        return FAILED, _INTERRUPTED
    if isinstance(error, AlreadyRunningError):
        return ALREADY_RUNNING, str(error)
    if not isinstance(error, Exception):
        raise error
    _notify_of_failure(options, error)
    return FAILED, reason(error)


def _report(
    options: argparse.Namespace,
    exit_code: int,
    problem: str,
    started_at: datetime,
    outcome: Outcome,
) -> None:
    """Write the summary as JSON, to stdout and to a file, if requested."""
    if not (options.summary or options.json):
        return
    content = {"exit_code": exit_code, "reason": problem or None, **outcome.as_json()}
    text = as_json(started_at, redact_values(content))
    if options.json:
        sys.stdout.write(text)
    if options.summary:
        try:
            options.summary.write_text(text, encoding="utf-8")
        except OSError as error:
            write_error(f"The summary cannot be written: {error}")


def _set_up_dlt(options: argparse.Namespace) -> None:
    # dlt reads these two once, before anything can be registered with it
    level = "DEBUG" if options.debug else "INFO" if options.verbose else None
    if level:
        os.environ["RUNTIME__LOG_LEVEL"] = level
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    apply_dlt_defaults()
    if options.shard is None:
        is_other_source = options.archive or options.sample
        shard = None if is_other_source else dlt.config.get("sources.pivotal_tracker.shard")
        options.shard = Shard.parse(shard or "")
    disable_sentry_locals()
    logger = logging.getLogger("dlt")
    logger.addFilter(
        lambda record: not any(text in record.getMessage() for text in _WARNINGS_OF_EVERY_TABLE)
    )
    if not options.debug:
        logger.addFilter(_remove_traceback)


def _remove_traceback(record: logging.LogRecord) -> bool:
    """Remove the traceback of a log record, which dlt writes into its text too.

    One for each attempt of each job would hide the line that says what went wrong.
    """
    text = record.getMessage()
    record.msg, record.args = text.partition("Traceback (most recent")[0].rstrip(), ()
    record.exc_info = record.exc_text = None
    return True


@contextlib.contextmanager
def _sample_server(options: argparse.Namespace) -> Iterator[None]:
    """Serve a sample workspace, and point the source at it, if `--sample` was given."""
    if not options.sample:
        yield
        return
    add_to_path()
    try:
        from tracker_server import TrackerServer
        from tracker_server.sample import generate_workspace
    except ModuleNotFoundError as error:
        raise TrackerError(
            f"--sample needs the package {error.name}, which is not installed: "
            'pip install "pivotal-tracker-pipeline[server]", or in a checkout '
            "pip install -r requirements.txt."
        ) from error

    workspace = generate_workspace()
    with TrackerServer(workspace) as server:
        # passed as arguments: the configuration may have another server
        options.source |= {
            "base_url": server.url,
            "api_token": workspace.me["api_token"],
            "project_ids": options.project,
        }
        yield


def _check(options: argparse.Namespace, outcome: Outcome) -> int:
    """Print whose token it is, which projects it sees, and what the server supports."""
    findings = (
        check_archives(options.archive) if options.archive else check_server(**options.source)
    )
    outcome.findings = findings.lines
    if not options.json:
        sys.stdout.write("\n".join(findings.lines) + "\n")
    return ALL_LOADED if findings.usable else FAILED


def _load_with_lock(options: argparse.Namespace, outcome: Outcome) -> int:
    """Load with the lock of the pipeline, and print the summary."""
    with pipeline_lock(pipeline_name(options)):
        pipeline = dlt.pipeline(
            pipeline_name(options),
            destination=options.destination,
            dataset_name=options.dataset,
            progress=progress_collector(options.progress),
        )
        outcome.place = {
            "pipeline": pipeline.pipeline_name,
            "destination": pipeline.destination.destination_name,
            "dataset": pipeline.dataset_name,
            "shard": str(options.shard),
        }
        loading = Loading(pipeline, options.shard, options.table_format)
        source = (_archive_source if options.archive else _server_source)(options)
        with without_unused_packages(pipeline), loading:
            _load(loading, source, options, outcome)
    if not options.json:
        write_summary(summary(pipeline, outcome))
    if outcome.written.total() or outcome.skipped or outcome.differences:
        # do not notify of a run without changes
        place = f"{pipeline.pipeline_name}, dataset {pipeline.dataset_name}"
        notify_slack(f"{place}. {remarks(outcome)}")
    return PARTLY_LOADED if outcome.is_partial else ALL_LOADED


def _load(
    loading: Loading, source: DltSource, options: argparse.Namespace, outcome: Outcome
) -> None:
    """Load the source and what the options add to it; fill the outcome, also on failure."""
    pipeline = loading.pipeline
    loading.complete_interrupted_run()
    outcome.set_aside = loading.set_aside
    try:
        _run(loading, source, options, outcome.traces)
    except BaseException:
        if not outcome.traces and pipeline.last_trace is not None:
            outcome.traces.append(pipeline.last_trace)
        raise
    outcome.differences = differences(pipeline, outcome.metrics)
    # another shard's run would make them at the same time
    if options.shard.includes_account_data and outcome.has_loaded:
        write_comments(pipeline)
    if not options.no_views and options.shard.includes_account_data:
        with pipeline.collector("Creating views"):
            outcome.views = create_views(pipeline)


def _run(
    loading: Loading, source: DltSource, options: argparse.Namespace, traces: list[PipelineTrace]
) -> None:
    """Load the source, then people and attachments; add dlt's trace of each run."""
    traces.append(loading.run(source))
    if not options.archive:
        load_remaining_parts(loading, partial(_part, options, source), traces)
    if not options.shard.is_whole and "people" in source.selected_resources:
        refresh_people(loading.pipeline)
    if options.attachments and not options.archive:
        files = pivotal_tracker_attachments(
            options.attachments, shard=str(options.shard), **options.source
        )
        traces.append(loading.run(files))


def _notify_of_failure(options: argparse.Namespace, error: Exception) -> None:
    """Notify Slack and Sentry that a load failed."""
    if options.check:
        return
    # dlt cannot read the settings if they need a missing package, or a file is not TOML
    with contextlib.suppress(ImportError, ConfigProviderException):
        notify_slack(f"{pipeline_name(options)} failed. {reason(error)}")
        capture_in_sentry(error)


def _server_source(options: argparse.Namespace) -> DltSource:
    source = pivotal_tracker_source(
        full_refresh=options.full_refresh,
        accept_deletions=options.accept_deletions,
        max_commented_stories=COMMENT_PART_SIZE,
        shard=str(options.shard),
        **options.source,
    )
    return _selected(source, options.resource)


def _part(options: argparse.Namespace, source: DltSource, project_ids: Sequence[int]) -> DltSource:
    """Make the source of another part of a load: stories with pending comments."""
    part = pivotal_tracker_source(
        max_commented_stories=COMMENT_PART_SIZE,
        shard=str(options.shard),
        **options.source | {"project_ids": list(project_ids)},
    )
    names = {"stories", *DERIVED_RESOURCES} & source.selected_resources.keys()
    return part.with_resources(*names)


def _archive_source(options: argparse.Namespace) -> DltSource:
    source = pivotal_tracker_archive(
        options.archive, attachments_directory=options.attachments, **options.source
    )
    return _selected(source, options.resource, "load_report")


def _selected(source: DltSource, names: Collection[str] | None, *always: str) -> DltSource:
    """Select resources, with the derived ones whose records come from them."""
    if not names:
        return source
    derived = [name for name, origins in DERIVED_RESOURCES.items() if not origins.isdisjoint(names)]
    return source.with_resources(*dict.fromkeys([*names, *derived, *always]))
