"""What a run did, collected from dlt's traces, for the summary and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from dlt.pipeline.trace import PipelineTrace

from ..load.row_counts import Difference
from ..views import Views

_ALWAYS = ("new", "changed", "deleted", "unchanged", "unusable")
"""Counts that the summary for programs always has, even if they are 0."""


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


Noted = dict[str, Any]
"""What one resource noted: see `pivotal_tracker.extract.list_reader.Reading`."""


def metrics_by_resource(traces: Iterable[PipelineTrace]) -> dict[str, Noted]:
    """Gather what each resource noted in pipeline runs, which may have loaded parts of it."""
    metrics: dict[str, Noted] = {}
    for trace in traces:
        info = trace.last_extract_info
        for step in chain.from_iterable(info.metrics.values()) if info else ():
            for name, resource in step["resource_metrics"].items():
                earlier = metrics.get(name, {})
                metrics[name] = _joined(earlier, resource.custom_metrics)
    return metrics


_COUNTERS = ("counts", "rows", "written")


def _joined(first: Noted, later: Noted) -> Noted:
    """What a resource noted in one part and in a later one: counters are added."""
    joined = {**later, **first}
    for name in first.keys() & later.keys():
        one, other = first[name], later[name]
        if name in _COUNTERS:
            joined[name] = Counter[str](one)
            joined[name].update(other)
        elif isinstance(one, dict):
            joined[name] = {**one, **other}
    return joined


@dataclass
class Outcome:
    """What a run did, as far as it came.

    Attributes:
        place: Where the rows went: `pipeline`, `destination`, `dataset` and `shard`.
        traces: What dlt noted of each pipeline run: the source's, perhaps the attachments'.
        set_aside: Where packages of earlier runs were copied that can never be loaded, and why.
        differences: The lists whose numbers of rows do not agree.
        views: Which views there are; None if none were requested.
        findings: The lines that `--check` reports.
    """

    place: dict[str, str] = field(default_factory=dict)
    traces: list[PipelineTrace] = field(default_factory=list)
    set_aside: str = ""
    differences: Sequence[Difference] = ()
    views: Views | None = None
    findings: list[str] = field(default_factory=list)

    @property
    def noted(self) -> dict[str, Noted]:
        """What each resource noted of its reading, by its name."""
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
            or any(one.is_loss for one in self.differences)
            or self.has_rejected
            or self.pending
            or any(one.is_new for one in self.kept)
            or any(one["is_new"] for one in self.incomplete)
        )

    @property
    def seconds(self) -> float:
        """How long dlt ran."""
        return sum((each.finished_at - each.started_at).total_seconds() for each in self.traces)

    @property
    def counts(self) -> Counter[str]:
        """What the clients counted: see `TrackerClient.counts`."""
        # every resource of a source notes the same client's counts
        noted = self.noted
        files = Counter[str](noted.get("attachment_files", {}).get("counts"))
        others = (each for name, each in noted.items() if name != "attachment_files")
        # only stories are in each part of a run that is loaded in parts
        counts = (Counter[str](each["counts"]) for each in others if "counts" in each)
        return files + max(counts, key=lambda each: each["requests"], default=Counter[str]())

    @property
    def written(self) -> Counter[str]:
        """Rows written, by table."""
        written = Counter[str]()
        for noted in self.noted.values():
            written.update(noted.get("written", {}))
        return written

    @property
    def records(self) -> dict[str, dict[str, int]]:
        """What became of each table's records: `new`, `changed`, `deleted` and so on.

        Of child tables it is only known how many rows were written: all those of a record are
        written when it has changed.
        """
        return {
            name: {what: rows for what, rows in noted["rows"].items() if rows or what in _ALWAYS}
            for name, noted in self.noted.items()
            if "rows" in noted
        }

    @property
    def skipped(self) -> list[tuple[str, str, str]]:
        """Which resource of which project could not be read, and why."""
        noted = self.noted
        not_listed = {
            k: v for each in noted.values() for k, v in each.get("not_listed", {}).items()
        }
        return [("projects", project, why) for project, why in not_listed.items()] + [
            (resource, project, why)
            for resource, each in noted.items()
            for project, why in each.get("skipped", {}).items()
        ]

    @property
    def kept(self) -> list[Kept]:
        """The rows that were kept although the server's lists lack them."""
        return [
            Kept(table, project, **kept)
            for table, each in self.noted.items()
            for project, kept in each.get("kept", {}).items()
        ]

    @property
    def pending(self) -> dict[str, int]:
        """Of how many stories comments are left to the next run, by project."""
        pending = self.noted.get("stories", {}).get("pending", {})
        return {project: stories for project, stories in pending.items() if stories}

    @property
    def unparsable(self) -> dict[str, list[str]]:
        """Records that are not valid JSON, by the path of their list."""
        noted = self.noted.values()
        return next((each["unparsable"] for each in noted if "unparsable" in each), {})

    @property
    def rejected(self) -> dict[str, dict[str, str]]:
        """Some of the records that could not be loaded, by table and key, and why."""
        return {name: each["rejected"] for name, each in self.noted.items() if each.get("rejected")}

    @property
    def has_rejected(self) -> bool:
        """Whether a record of a server could not be loaded as it came."""
        if "load_report" in self.noted:
            # that says what became of every row of an archive
            return False
        counts = sum((Counter(each) for each in self.records.values()), Counter[str]())
        names = ("rejected", "unusable", "replaced_keys")
        return bool(self.unparsable or any(counts[name] for name in names))

    @property
    def incomplete(self) -> list[dict[str, Any]]:
        """The lists that gave fewer rows than the server announced."""
        return [
            {"table": table, "project_id": int(project), **told}
            for table, each in self.noted.items()
            for project, told in each.get("incomplete", {}).items()
        ]

    @property
    def accepted(self) -> dict[str, int]:
        """How many rows were deleted because the user accepts it, by list."""
        return {
            f"{project}/{table}" if project else table: rows
            for table, each in self.noted.items()
            for project, rows in each.get("accepted", {}).items()
        }

    @property
    def unread(self) -> dict[str, str]:
        """Which archives could not be read, or not to their end, and why."""
        unread: dict[str, str] = self.noted.get("load_report", {}).get("unread", {})
        return unread

    @property
    def projects_unchanged(self) -> int:
        """How many projects were not read again."""
        unchanged = (each["unchanged"] for each in self.noted.values() if "unchanged" in each)
        return min(unchanged, default=0)

    @property
    def has_no_project(self) -> bool:
        """Whether there was no project to read."""
        return any(each.get("listed") == 0 for each in self.noted.values())

    @property
    def projects_not_seen(self) -> list[int]:
        """The projects that are missing from the server's list."""
        return [one for each in self.noted.values() for one in each.get("vanished", ())]

    @property
    def refused_fields(self) -> list[str]:
        """What the server refused to give when asked for it in `fields`."""
        return sorted(
            {one for each in self.noted.values() for one in each.get("refused_fields", ())}
        )

    @property
    def not_given(self) -> list[str]:
        """What the server was asked for in `fields` and silently left out, as `table.attribute`."""
        return [
            f"{name}.{attribute}"
            for name, each in self.noted.items()
            for attribute in each.get("not_given", ())
        ]

    def lacking(self, what: str) -> dict[str, str]:
        """Which tables are `not_offered`, or `not_permitted`, and why."""
        return {name: each[what] for name, each in self.noted.items() if what in each}

    def as_json(self) -> dict[str, Any]:
        """The summary for programs."""
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
            "kept": [asdict(one) for one in self.kept],
            "incomplete": self.incomplete,
            "pending": self.pending,
            "rejected": self.rejected,
            "unparsable": self.unparsable,
            "set_aside": self.set_aside or None,
            "accepted_deletions": self.accepted,
            "unread": self.unread,
            "not_offered": self.lacking("not_offered"),
            "not_permitted": self.lacking("not_permitted"),
            "refused_fields": self.refused_fields,
            "not_given": self.not_given,
            "characters_replaced": counts["replaced"],
            "files": self.noted.get("attachment_files", {}).get("files"),
            "differences": [asdict(one) | {"is_loss": one.is_loss} for one in self.differences],
            "findings": self.findings,
            "views_left_out": self.views.left_out if self.views else {},
        }
