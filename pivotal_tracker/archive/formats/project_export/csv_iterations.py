"""The iterations that an export's stories are in, which have no rows of their own."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...dates import DateReader, day_after, weeks_between
from ...format import Record


@dataclass
class _Iteration:
    start: str | None
    finish: str | None
    story_ids: array[int] = field(default_factory=lambda: array("q"))


class Iterations:
    """Gathers the iterations of a project while its stories are read.

    Args:
        dates: Reads the dates of the file.
    """

    def __init__(self, dates: DateReader) -> None:
        self._dates = dates
        self._by_number: dict[int, _Iteration] = {}

    def add(self, number: int, story_id: int, first_day: str, last_day: str) -> str:
        """Puts a story into an iteration, behind those before.

        Args:
            number: The iteration's.
            story_id: Whose row it was.
            first_day: What the row says of the iteration's start; empty for nothing.
            last_day: The same of its end; the export names the last day, not the one after.

        Returns:
            The day that could not be read; empty where both could.
        """
        iteration = self._iteration(number)
        iteration.story_ids.append(story_id)
        if iteration.start is None and first_day:
            iteration.start = self._dates.time(first_day)
        if iteration.finish is None and last_day:
            # the API's finish is the first day that is no more of it
            end = self._dates.time(last_day)
            iteration.finish = day_after(end) if end else None
        if first_day and not iteration.start:
            return first_day
        return last_day if last_day and not iteration.finish else ""

    def add_empty(self, number: int) -> None:
        """Adds an iteration that a row names which is not loaded."""
        self._iteration(number)

    def _iteration(self, number: int) -> _Iteration:
        iteration = self._by_number.get(number)
        if iteration is None:
            iteration = self._by_number[number] = _Iteration(None, None)
        return iteration

    def records(self, project_id: int) -> Iterator[Record]:
        """The iterations in the order in which they were met."""
        for number, iteration in self._by_number.items():
            record: Record = {
                "kind": "iteration",
                "number": number,
                "project_id": project_id,
                "_date_precision": "day",
            }
            if iteration.start:
                record["start"] = iteration.start
            if iteration.finish:
                record["finish"] = iteration.finish
            if weeks := weeks_between(iteration.start, iteration.finish):
                record["length"] = weeks
            record["story_ids"] = list(iteration.story_ids)
            yield record
