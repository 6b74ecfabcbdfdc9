"""Collect from dlt's traces what a run did, for the summary and the exit code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from dlt.pipeline.trace import PipelineTrace

from ..load.metrics import Metrics
from ..load.row_counts import Difference
from ..views import Views

_FILES = "attachment_files"
_ALWAYS = ("new", "changed", "deleted", "unchanged", "unusable")
"""Counts that the JSON summary always has, even if they are 0."""


@dataclass(frozen=True)
class Kept:
    """Rows that were kept although the server's list lacks them.

    Attributes:
        table: The table.
        project: The project's id as text; empty for a list of the account.
        rows: How many rows.
        since: The date of the run that noticed it.
        is_new: Whether that was this run.
    """

    table: str
    project: str
    rows: int
    since: str
    is_new: bool

    @property
    def name(self) -> str:
        """Name the list as `--accept-deletions` takes it."""
        return f"{self.project}/{self.table}" if self.project else self.table


def metrics_by_resource(traces: Iterable[PipelineTrace]) -> defaultdict[str, Metrics]:
    """Collect the metrics of each resource from pipeline runs, which may be parts of one load."""
    metrics: defaultdict[str, Metrics] = defaultdict(Metrics)
    for trace in traces:
        info = trace.last_extract_info
        for step in chain.from_iterable(info.metrics.values()) if info else ():
            for name, resource in step["resource_metrics"].items():
                metrics[name] |= Metrics.from_custom_metrics(resource.custom_metrics)
    return metrics


@dataclass
class Outcome:
    """What a run did, also if it failed.

    Attributes:
        place: Where the rows were loaded: `pipeline`, `destination`, `dataset` and `shard`.
        traces: dlt's trace of each pipeline run: of the source, perhaps of its attachments.
        set_aside: The folder of earlier packages that can never be loaded, and the reason.
        differences: The lists whose numbers of rows differ.
        views: The views; None if none were requested.
        findings: The lines that `--check` reports.
    """

    place: dict[str, str] = field(default_factory=dict)
    traces: list[PipelineTrace] = field(default_factory=list)
    set_aside: str = ""
    differences: Sequence[Difference] = ()
    views: Views | None = None
    findings: list[str] = field(default_factory=list)

    @cached_property
    def metrics(self) -> defaultdict[str, Metrics]:
        """The metrics of each resource, by its name; only for use after the last run."""
        return metrics_by_resource(self.traces)

    @property
    def has_loaded(self) -> bool:
        """Whether anything was sent to the destination."""
        infos = [trace.last_load_info for trace in self.traces]
        return any(info is not None and info.loads_ids for info in infos)

    @property
    def is_partial(self) -> bool:
        """Whether something that should have been loaded is not."""
        return bool(
            self.skipped
            or self.unread
            or any(difference.is_data_loss for difference in self.differences)
            or self.has_rejected
            or self.pending
            or any(kept.is_new for kept in self.kept)
            or any(counts["is_new"] for counts in self.incomplete)
        )

    @property
    def seconds(self) -> float:
        """How long dlt ran."""
        return sum((trace.finished_at - trace.started_at).total_seconds() for trace in self.traces)

    @property
    def counts(self) -> Counter[str]:
        """The counts of the clients: see `TrackerClient.counts`."""
        # every resource of a source has the same client's counts; only stories are in every part of
        # a run that is loaded in parts, so they have the most
        of_lists = (own.counts for name, own in self.metrics.items() if name != _FILES)
        counts = max(of_lists, key=lambda own: own["requests"], default=Counter[str]())
        return counts + self.metrics[_FILES].counts

    @property
    def written(self) -> Counter[str]:
        """Rows written, by table."""
        written = Counter[str]()
        for metrics in self.metrics.values():
            written.update(metrics.written)
        return written

    @property
    def records(self) -> dict[str, dict[str, int]]:
        """The numbers of `new`, `changed`, `deleted` and other records of each table.

        Child tables have only numbers of rows written: all rows of a changed record are written.
        """
        return {
            name: {what: rows for what, rows in metrics.rows.items() if rows or what in _ALWAYS}
            for name, metrics in self.metrics.items()
            if metrics.rows
        }

    @property
    def skipped(self) -> list[tuple[str, str, str]]:
        """The resources of projects that could not be read: table, project and reason."""
        not_listed: dict[str, str] = {}
        for metrics in self.metrics.values():
            not_listed |= metrics.not_listed
        return [("projects", project, why) for project, why in not_listed.items()] + [
            (resource, project, why)
            for resource, metrics in self.metrics.items()
            for project, why in metrics.skipped.items()
        ]

    @property
    def kept(self) -> list[Kept]:
        """The rows that were kept although the server's lists lack them."""
        return [
            Kept(table, project, **kept)
            for table, metrics in self.metrics.items()
            for project, kept in metrics.kept.items()
        ]

    @property
    def pending(self) -> dict[str, int]:
        """The number of stories of each project whose comments are left to the next run."""
        pending = self.metrics["stories"].pending
        return {project: stories for project, stories in pending.items() if stories}

    @property
    def unparsable(self) -> dict[str, list[str]]:
        """Records that are not valid JSON, by the path of their list."""
        found = (metrics.unparsable.items() for metrics in self.metrics.values())
        return dict(chain.from_iterable(found))

    @property
    def rejected(self) -> dict[str, dict[str, str]]:
        """Some of the records that could not be loaded, by table and key, and why."""
        return {name: m.rejected for name, m in self.metrics.items() if m.rejected}

    @property
    def has_rejected(self) -> bool:
        """Whether a record could not be loaded."""
        counts = sum(map(Counter[str], self.records.values()), Counter[str]())
        # rows of an archive without a valid key are in its report
        unusable = 0 if self.metrics["load_report"].report else counts["unusable"]
        return bool(self.unparsable or counts["rejected"] or unusable)

    @property
    def incomplete(self) -> list[dict[str, Any]]:
        """The lists with fewer rows than the server announced."""
        return [
            {"table": table, "project_id": int(project), **list_counts}
            for table, metrics in self.metrics.items()
            for project, list_counts in metrics.incomplete.items()
        ]

    @property
    def accepted(self) -> dict[str, int]:
        """The number of rows deleted because the user accepts it, by list."""
        return {
            f"{project}/{table}" if project else table: rows
            for table, metrics in self.metrics.items()
            for project, rows in metrics.accepted.items()
        }

    @property
    def unread(self) -> dict[str, str]:
        """The archives that could not be read completely, and why."""
        return self.metrics["load_report"].unread

    @property
    def files(self) -> dict[str, int]:
        """The numbers of files of comments, if they were requested."""
        return self.metrics[_FILES].files

    @property
    def projects_unchanged(self) -> int:
        """The number of projects that were not read again."""
        unchanged = (metrics.unchanged for metrics in self.metrics.values())
        return min((number for number in unchanged if number is not None), default=0)

    @property
    def has_no_project(self) -> bool:
        """Whether there was no project to read."""
        return any(metrics.listed == 0 for metrics in self.metrics.values())

    @property
    def projects_not_seen(self) -> list[int]:
        """The projects that are missing from the server's list."""
        return self.metrics["projects"].vanished

    @property
    def refused_fields(self) -> list[str]:
        """The fields that the server refuses."""
        return sorted(set().union(*(metrics.refused_fields for metrics in self.metrics.values())))

    @property
    def not_given(self) -> list[str]:
        """The requested fields that the server did not return, as `table.attribute`."""
        return [
            f"{name}.{attribute}"
            for name, metrics in self.metrics.items()
            for attribute in metrics.not_given
        ]

    @property
    def not_offered(self) -> dict[str, str]:
        """The tables whose lists the server does not support, and why."""
        return {name: m.not_offered for name, m in self.metrics.items() if m.not_offered}

    @property
    def not_permitted(self) -> dict[str, str]:
        """The tables whose lists the token may not read, and why."""
        return {name: m.not_permitted for name, m in self.metrics.items() if m.not_permitted}

    def as_json(self) -> dict[str, Any]:
        """Return the content of the JSON summary."""
        counts, written, records = self.counts, self.written, self.records
        return {
            "place": self.place,
            "requests": counts["requests"],
            "retries": counts["attempts"] - counts["requests"],
            "tables": {
                name: {"written": written[name], **records.get(name, {})}
                for name in sorted({*written, *records})
            },
            "projects_unchanged": self.projects_unchanged,
            "projects_not_seen": self.projects_not_seen,
            "skipped": [
                {"table": table, "project_id": int(project) if project else None, "reason": why}
                for table, project, why in self.skipped
            ],
            "kept": [asdict(kept) for kept in self.kept],
            "incomplete": self.incomplete,
            "pending": self.pending,
            "rejected": self.rejected,
            "unparsable": self.unparsable,
            "set_aside": self.set_aside or None,
            "accepted_deletions": self.accepted,
            "unread": self.unread,
            "not_offered": self.not_offered,
            "not_permitted": self.not_permitted,
            "refused_fields": self.refused_fields,
            "not_given": self.not_given,
            "characters_replaced": counts["replaced"],
            "files": self.files or None,
            "differences": [
                asdict(difference) | {"is_loss": difference.is_data_loss}
                for difference in self.differences
            ],
            "findings": self.findings,
            "views_left_out": self.views.left_out if self.views else {},
        }
