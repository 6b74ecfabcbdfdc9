"""One part of all projects, so that several runs can load a workspace side by side."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from ..errors import TrackerError


@dataclass(frozen=True)
class Shard:
    """The projects whose ids fall to it, whichever others there are.

    Attributes:
        number: Which of the shards, from 1.
        count: How many shards there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """The shard that `2/5` means; that of all projects for an empty text.

        Raises:
            TrackerError: It means none.
        """
        if not text:
            return cls()
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise TrackerError(f"A shard is written as 2/5, for the second of five, not {text!r}.")
        return cls(number, count)

    def __contains__(self, project_id: int) -> bool:
        # ids that were given out in turn to one account's projects would not spread by themselves
        return zlib.crc32(str(project_id).encode()) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """What tells it from others in names: `2_of_5`."""
        return f"{self.number}_of_{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it has all projects."""
        return self.count == 1

    @property
    def has_accounts(self) -> bool:
        """Whether the lists that belong to no project fall to it."""
        return self.number == 1
