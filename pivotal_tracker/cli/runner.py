"""Run the pipeline: complete interrupted runs, retry loads if that may help."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, cast

import dlt
from dlt.common import logger
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.client import WithStagingDataset
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.schema import Schema
from dlt.common.schema.typing import MERGE_DISPOSITION_HINTS, TTableFormat
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.normalize.exceptions import NormalizeJobFailed
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.trace import PipelineTrace

from ..errors import TrackerError
from ..extract.shards import Shard
from ..load.dlt_internals import extracted_packages, normalized_packages
from .duckdb_file import DuckDbFile, lacked_memory, uses_duckdb
from .error_messages import causes_of, reason

_OTHER_ERRORS = (
    OSError,
    MemoryError,
    TrackerError,
    ConfigurationException,
    MissingDependencyException,
)
_DATA_ERRORS = (
    "Constraint Error",
    "Conversion Error",
    "DataError",
    "IntegrityError",
    "InvalidTextRepresentation",
    "NotNullViolation",
    "NumericValueOutOfRange",
    "invalid input syntax",
    "out of range",
    "violates not-null constraint",
)
"""What databases report about values that they reject."""

MAX_ATTEMPTS = 5
"""The maximum number of attempts of a load that may conflict with that of another shard."""


class Loading:
    """Run the loads of a pipeline, with DuckDB's file kept open.

    Args:
        pipeline: The pipeline.
        shard: The projects that are loaded.
        table_format: The format of tables, if the destination has several.
    """

    def __init__(
        self, pipeline: dlt.Pipeline, shard: Shard, table_format: TTableFormat | None = None
    ) -> None:
        self.pipeline = pipeline
        self.table_format = table_format
        self.shard = shard
        self.set_aside = ""
        """The folder of packages that can never be loaded, and the reason."""
        self._file: DuckDbFile | None = None
        if not shard.is_whole:
            # each run empties the staging tables
            name = (
                f"destination.{pipeline.destination.destination_name}.staging_dataset_name_layout"
            )
            dlt.config[name] = f"%s_staging_{shard.name}"

    def __enter__(self) -> Loading:
        if uses_duckdb(self.pipeline):
            self._file = DuckDbFile(self.pipeline)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def complete_interrupted_run(self) -> None:
        """Load the data of an interrupted run: a new run would load it and drop its own data."""
        # a run that is killed between two steps leaves a normalized package also among the
        # extracted ones, where dlt would fail on it
        pipeline = self.pipeline
        for load_id in pipeline.list_normalized_load_packages():
            if load_id in pipeline.list_extracted_load_packages():
                extracted_packages(pipeline).delete_package(load_id)
        self._prevent_duplicates()
        if not pipeline.has_pending_data:
            return
        try:
            self._run_with_retries(pipeline.run)
        except PipelineStepFailed as error:
            if not can_never_load(error):
                raise
            self._set_aside(error)

    def _set_aside(self, error: PipelineStepFailed) -> None:
        """Copy the pending packages and abort them; the run then reads their data again.

        Aborting restores dlt's state as it was before the packages were read.
        """
        pipeline = self.pipeline
        folder = Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}_set_aside"
        target = folder / time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        for step in ("normalize", "load"):
            source = Path(pipeline.working_dir) / step
            if source.is_dir():
                shutil.copytree(source, target / step, dirs_exist_ok=True)
        pipeline.abort_packages()
        self.set_aside = f"{target}: {reason(error)}"
        logger.warning(
            f"What an earlier run had read can never be loaded ({reason(error)}). It was copied to "
            f"{target} and aborted; its data is read again."
        )

    def run(self, data: Any) -> PipelineTrace:
        """Load a source or resource.

        A load is retried if that may help: for a shard, because it may conflict with another one,
        and in DuckDB, if it needs more memory than the first limit.

        Returns:
            dlt's trace of the run, including the extraction.
        """
        # dlt's annotation lacks its own default, None
        table_format = cast(TTableFormat, self.table_format)
        return self._run_with_retries(lambda: self.pipeline.run(data, table_format=table_format))

    def _run_with_retries(self, run: Callable[[], Any]) -> PipelineTrace:
        try:
            run()
        except PipelineStepFailed as error:
            if error.step != "load" or not self._can_retry(error):
                raise
            trace = self._last_trace()
            self._load_again()
            return trace
        return self._last_trace()

    def _can_retry(self, error: Exception) -> bool:
        """Check whether a retry may help; raise DuckDB's memory limit if it was too low."""
        if self._file is not None and lacked_memory(error):
            return self._file.lift_limit()
        return not self.shard.is_whole

    def _load_again(self) -> None:
        self._prevent_duplicates()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if not self.shard.is_whole:
                # wait: two loads that create the same table would fail again at the same time
                time.sleep(random.uniform(1, 2) * attempt)
            try:
                self.pipeline.load()
                break
            except PipelineStepFailed:
                if attempt == MAX_ATTEMPTS or self.shard.is_whole:
                    raise

    def _prevent_duplicates(self) -> None:
        """Prevent duplicate rows from files that are loaded again.

        dlt does not load a file again that it has marked as loaded, but a run may be killed between
        the commit and the mark.
        """
        packages = normalized_packages(self.pipeline)
        for load_id in self.pipeline.list_normalized_load_packages():
            schema = packages.load_schema(load_id)
            unmarked = []
            for file in packages.list_started_jobs(load_id):
                transition = packages.load_pending_transition(load_id, Path(file).name)
                if transition is None or transition[0] != "completed":
                    unmarked.append(packages.storage.make_full_path(file))
            if unmarked:
                appended = _appended_tables(schema)
                packages.save_schema(load_id, _with_distinct_rows(schema))
                self._make_staging_tables(schema, appended)
                self._delete_state_row(load_id, unmarked, schema)

    def _make_staging_tables(self, schema: Schema, tables: Collection[str]) -> None:
        """Create the staging tables of a package that appended rows before.

        dlt creates them only when it starts to load a package, and this one has been started.
        """
        with self.pipeline.destination_client(schema.name) as client:
            if not tables or not isinstance(client, WithStagingDataset):
                return
            with client.with_staging_dataset():
                client.initialize_storage()
                client.update_stored_schema(only_tables=[*tables, schema.version_table_name])
                client.initialize_storage(truncate_tables=tables)

    def _delete_state_row(self, load_id: str, files: Iterable[str], schema: Schema) -> None:
        """Delete dlt's row of the run's state if the database would reject a second one."""
        state = schema.state_table_name
        for file in map(ParsedLoadJobFileName.parse, files):
            if file.table_name == state and file.file_format == "insert_values":
                with self.pipeline.sql_client(schema.name) as client:
                    name = client.make_qualified_table_name(state)
                    query = f"DELETE FROM {name} WHERE _dlt_load_id = %s"  # noqa: S608
                    client.execute_sql(query, load_id)

    def _last_trace(self) -> PipelineTrace:
        # dlt makes one for each run
        return cast(PipelineTrace, self.pipeline.last_trace)


def can_never_load(error: PipelineStepFailed) -> bool:
    """Check whether a pending package fails because of its data, and always will.

    Other errors, such as a lost connection, a lock, a full disk or a missing permission, may not
    occur again in the next run.
    """
    causes = list(causes_of(error))
    if any(isinstance(cause, _OTHER_ERRORS) for cause in causes):
        return False
    if error.step == "normalize":
        return any(isinstance(cause, NormalizeJobFailed) for cause in causes)
    text = " ".join(str(cause) for cause in causes)
    is_terminal = any(isinstance(cause, DestinationTerminalException) for cause in causes)
    return error.step == "load" and is_terminal and any(sign in text for sign in _DATA_ERRORS)


def _appended_tables(schema: Schema) -> list[str]:
    """Return the tables of a first load, to which rows are appended."""
    return [
        name
        for name, table in schema.tables.items()
        if table.get("write_disposition") == "append" and name not in schema.dlt_table_names()
    ]


def _with_distinct_rows(schema: Schema) -> Schema:
    """Change a schema so that dlt merges each row once, even if it was loaded twice."""
    for table in schema.data_tables():
        hints = cast(dict[str, Any], table)
        hints.pop(MERGE_DISPOSITION_HINTS["deduplicated"], None)
        if table.get("write_disposition") == "append":
            table["write_disposition"] = "merge"
            hints[MERGE_DISPOSITION_HINTS["strategy"]] = "delete-insert"
            table["columns"]["_deleted"]["hard_delete"] = True
        if any("merge_key" in column for column in table["columns"].values()):
            # nested rows have only the key of their record
            table["columns"]["_dlt_id"]["primary_key"] = True
    return schema
