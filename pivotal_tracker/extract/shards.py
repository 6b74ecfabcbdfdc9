"""A part of all projects, so that several runs can load a workspace in parallel."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from ..errors import TrackerError


@dataclass(frozen=True)
class Shard:
    """A fixed part of the projects, chosen by their ids.

    Attributes:
        number: Which of the shards, from 1.
        count: How many shards there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse a shard such as `2/5`; an empty text means all projects.

        Raises:
            TrackerError: The text is not a shard.
        """
        if not text:
            return cls()
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise TrackerError(f"A shard is written as 2/5, for the second of five, not {text!r}.")
        return cls(number, count)

    def __contains__(self, project_id: int) -> bool:
        # hash the id: consecutive ids of one account would not spread evenly
        return zlib.crc32(str(project_id).encode()) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """Its name in names of pipelines and datasets: `2_of_5`."""
        return f"{self.number}_of_{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it has all projects."""
        return self.count == 1

    @property
    def includes_account_data(self) -> bool:
        """Whether it loads the lists that belong to no project."""
        return self.number == 1
