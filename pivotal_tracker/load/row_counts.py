"""Compare, after a load, the numbers of rows in the destination and on the server."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import tables
from .destination_rows import DestinationReader
from .metrics import Metrics


@dataclass(frozen=True)
class Difference:
    """A list whose numbers of rows differ.

    Attributes:
        table: The table.
        project_id: The project.
        said: The server's total; None if it reports none. It may be more than the server sends, or
            the list has changed during the reading.
        read: How many rows were read.
        held: How many rows are in the destination.
    """

    table: str
    project_id: int
    said: int | None
    read: int
    held: int

    @property
    def is_data_loss(self) -> bool:
        """Whether rows that were read are missing in the destination."""
        return self.held < self.read

    def __str__(self) -> str:
        said = "" if self.said is None else f"the server reported {self.said:,}, "
        return (
            f"{self.table} of project {self.project_id}: {said}{self.read:,} were read, "
            f"{self.held:,} are in the database."
        )


def differences(pipeline: Any, metrics: Mapping[str, Metrics]) -> list[Difference]:
    """Return the completely read lists whose number of rows in the destination differs.

    Args:
        pipeline: The pipeline that has loaded them.
        metrics: The metrics of each resource.
    """
    found = []
    with contextlib.closing(DestinationReader(pipeline)) as loaded:
        for table, resource_metrics in metrics.items():
            counted = resource_metrics.counted
            held = loaded.counts(table, from_server=True) if counted else {}
            for project, list_counts in counted.items():
                difference = Difference(
                    table,
                    int(project),
                    list_counts["said"],
                    list_counts["read"],
                    held.get(int(project), 0),
                )
                if _is_reported(difference):
                    found.append(difference)
    return found


def _is_reported(difference: Difference) -> bool:
    read, held = difference.read, difference.held
    # activity that the server does not keep stays in its table
    has_more = held > read and difference.table != tables.ACTIVITY.name
    return has_more or difference.is_data_loss or difference.said not in (None, read)
