"""The metrics of a resource: what happened to its lists and records, for dlt's trace."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Metrics:
    """What happened to the lists and records of one resource.

    dlt's trace has them as custom metrics of the resource: counters always, others if not empty.
    Projects are named by their ids as text; a list of the account has an empty one.

    Attributes:
        rows: The numbers of `new`, `changed`, `deleted` and other records.
        written: The numbers of rows passed to dlt, by table, without rows that delete.
        rejected: Why records could not be loaded, by key, for some of them.
        listed: How many projects there are to read.
        not_listed: Why requested projects could not be read.
        vanished: The ids of the projects that the server's list lacks now.
        unchanged: How many projects were not read again.
        skipped: Why lists could not be read, by project.
        not_offered: Why the server does not support the list; empty if it does.
        not_permitted: Why the token may not read the list; empty if it may.
        not_given: The requested attributes that no record has.
        incomplete: The lists with fewer rows than announced, by project: their `rows`, the `total`,
            and whether it `is_new`.
        kept: The rows that a list suddenly lacks, by project: how many `rows`, `since` when, and
            whether it `is_new`.
        accepted: How many rows were deleted because the user accepts it, by project.
        pending: How many stories have comments that are left to later runs, by project.
        counted: The numbers of rows of complete lists, by project: those `read`, and those that the
            server `said` it has.
        files: The numbers of attachments that were `kept` or `downloaded`, of `bytes` and of
            `problems`.
        report: The records of `load_report`.
        unread: Why archives could not be read completely, by name.
        ignored: The files that are not archives.
        counts: The client's counts: see `TrackerClient.counts`.
        refused_fields: The fields that the server refuses.
        unparsable: Why records could not be parsed, by the path of their list.
    """

    rows: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, str] = field(default_factory=dict)
    listed: int | None = None
    not_listed: dict[str, str] = field(default_factory=dict)
    vanished: list[int] = field(default_factory=list)
    unchanged: int | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    not_offered: str = ""
    not_permitted: str = ""
    not_given: list[str] = field(default_factory=list)
    incomplete: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    counted: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    report: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused_fields: dict[str, bool] = field(default_factory=dict)
    unparsable: dict[str, list[str]] = field(default_factory=dict)

    def as_custom_metrics(self) -> dict[str, Any]:
        """Return a copy for dlt's trace, of plain values."""
        return {
            name: dict(value) if isinstance(value, Counter) else copy.deepcopy(value)
            for name, value in vars(self).items()
            if value or value == 0 or isinstance(value, Counter)
        }

    @classmethod
    def from_custom_metrics(cls, values: Mapping[str, Any]) -> Metrics:
        """Parse the custom metrics of a resource, which may have others too."""
        metrics = cls()
        for name, default in vars(metrics).items():
            if name in values:
                is_counter = isinstance(default, Counter)
                setattr(metrics, name, Counter(values[name]) if is_counter else values[name])
        return metrics

    def __or__(self, later: Metrics) -> Metrics:
        """Combine the metrics of two parts of a load: counters are added."""
        combined = Metrics()
        for name, first in vars(self).items():
            second = getattr(later, name)
            if isinstance(first, Counter):
                getattr(combined, name).update(first)
                getattr(combined, name).update(second)
            elif isinstance(first, dict):
                setattr(combined, name, first | second)
            else:
                setattr(combined, name, second if first in (None, "", []) else first)
        return combined
