"""Collect the iterations of an export's stories, which have no rows of their own."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ....records import Record
from ...dates import DateReader, day_after, weeks_between


@dataclass
class _Iteration:
    start: str | None = None
    finish: str | None = None
    story_ids: array[int] = field(default_factory=lambda: array("q"))


class Iterations:
    """Collects the iterations of a project while its stories are read.

    Args:
        dates: Reads the dates of the file.
    """

    def __init__(self, dates: DateReader) -> None:
        self._dates = dates
        self._by_number: defaultdict[int, _Iteration] = defaultdict(_Iteration)

    def add(self, number: int, story_id: int, first_day: str, last_day: str) -> str:
        """Append a story to an iteration.

        Args:
            number: The number of the iteration.
            story_id: The id of the story.
            first_day: The first day of the iteration, as written; may be empty.
            last_day: The last day of the iteration, as written; may be empty.

        Returns:
            The day that could not be read; empty if both could.
        """
        iteration = self._by_number[number]
        iteration.story_ids.append(story_id)
        if iteration.start is None and first_day:
            iteration.start = self._dates.parse(first_day)
        if iteration.finish is None and last_day:
            # the API's finish is the day after the last one
            end = self._dates.parse(last_day)
            iteration.finish = day_after(end) if end else None
        if first_day and not iteration.start:
            return first_day
        return last_day if last_day and not iteration.finish else ""

    def add_empty(self, number: int) -> None:
        """Add an iteration without a story, for a row that is not loaded."""
        self._by_number.setdefault(number, _Iteration())

    def records(self, project_id: int) -> Iterator[Record]:
        """Yield the iterations in the order in which they were added."""
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
