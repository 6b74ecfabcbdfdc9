"""What goes wrong on a bad day, at random but the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

FaultKind = Literal[
    "429",
    "429_retry_after",
    "500",
    "502",
    "503",
    "504",
    "html",
    "cut_short",
    "reset",
    "stall",
    "bad_json",
]
"""The ways to fail.

`html` is a page of status 200; `cut_short` a body shorter than its `Content-Length`, and then the
end of the connection; `reset` a connection that is torn down; `stall` one on which nothing is said
for a while; `bad_json` a whole answer that is half a JSON text.
"""

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass
class Faults:
    """A share of the requests that fail, each in one of some ways.

    Whether a request fails depends on the seed, its URL, and how often that URL was asked for
    before: not on the order in which requests from several threads happen to arrive.

    Attributes:
        rate: The share of requests that fail, 0 to 1.
        kinds: The ways to fail, see `FaultKind`.
        seed: Another seed, other requests.
        retry_after: Seconds that `429_retry_after` asks to wait.
        stall_seconds: How long `stall` says nothing.
        most_in_a_row: The same URL succeeds at the latest after so many failures.
    """

    rate: float = 0.2
    kinds: Sequence[str] = FAULT_KINDS
    seed: int = 1
    retry_after: int = 0
    stall_seconds: float = 30.0
    most_in_a_row: int = 3
    _asked: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _in_a_row: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unknown = set(self.kinds).difference(FAULT_KINDS)
        if unknown:
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")

    def next_fault(self, url: str) -> str | None:
        """Say how this request fails.

        Args:
            url: Path and query: what is asked for again after a failure.

        Returns:
            One of `kinds`, None if it does not fail.
        """
        self._asked[url] += 1
        chance = random.Random(f"{self.seed} {self._asked[url]} {url}")
        if self._in_a_row[url] >= self.most_in_a_row or chance.random() >= self.rate:
            self._in_a_row[url] = 0
            return None
        self._in_a_row[url] += 1
        return chance.choice(self.kinds)
