"""Counts, after a load, the rows of lists that were read whole, against what the server gave."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from .. import tables
from .destination_rows import DestinationReader


@dataclass(frozen=True)
class Difference:
    """A list whose numbers do not agree.

    Attributes:
        table: The table.
        project_id: The project.
        said: How many rows the server said there are; None where it did not. It may honestly be
            more than it gives, or the list has changed while it was read.
        read: How many it gave.
        held: How many are in the destination now.
    """

    table: str
    project_id: int
    said: int | None
    read: int
    held: int

    @property
    def is_data_loss(self) -> bool:
        """Whether rows that were read are surely missing."""
        return self.held < self.read

    def __str__(self) -> str:
        said = "" if self.said is None else f"the server said {self.said:,}, "
        return (
            f"{self.table} of project {self.project_id}: {said}{self.read:,} were read, "
            f"{self.held:,} are in the database."
        )


def differences(pipeline: Any, metrics: dict[str, dict[str, Any]]) -> list[Difference]:
    """Return the lists read whole of which the destination holds another number of rows.

    Args:
        pipeline: The pipeline that has loaded them.
        metrics: What each resource noted: in `counted`, by project, how many rows it `read` and how
            many the server `said` there are.
    """
    found = []
    with contextlib.closing(DestinationReader(pipeline)) as loaded:
        for table, noted in metrics.items():
            counted = noted.get("counted", {})
            held = loaded.counts(table, from_server=True) if counted else {}
            for project, list_counts in counted.items():
                one = Difference(
                    table,
                    int(project),
                    list_counts["said"],
                    list_counts["read"],
                    held.get(int(project), 0),
                )
                if _differs(one):
                    found.append(one)
    return found


def _differs(one: Difference) -> bool:
    # what the server forgets stays
    more = one.held > one.read and one.table != tables.ACTIVITY.name
    return more or one.is_data_loss or one.said not in (None, one.read)
