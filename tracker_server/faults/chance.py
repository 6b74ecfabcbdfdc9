"""Faults at random, but the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ..messages import Request
from .base import Fault
from .responses import (
    HalfJson,
    HtmlPage,
    ResetConnection,
    Stall,
    Status,
    TooManyRequests,
    TruncatedBody,
)

TRANSIENT_FAULTS: tuple[Fault, ...] = (
    TooManyRequests(),
    TooManyRequests(retry_after=0),
    Status(500),
    Status(502),
    Status(503),
    Status(504),
    HtmlPage(),
    TruncatedBody(),
    ResetConnection(),
    Stall(),
    HalfJson(),
)
"""What a busy server does, and a client has to bear."""


@dataclass
class RandomFaults(Fault):
    """One of several faults for a share of the requests.

    Whether a request fails depends on the seed, its URL, and how often that URL was requested
    before: not on the order in which requests from several threads happen to arrive.

    Attributes:
        rate: The share of requests that fail, 0 to 1.
        faults: The faults to choose from.
        seed: Another seed, other requests.
        max_in_a_row: The same URL succeeds after at most this many failures.
    """

    rate: float = 0.2
    faults: Sequence[Fault] = TRANSIENT_FAULTS
    seed: int = 1
    max_in_a_row: int = 3
    _requested: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _in_a_row: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)

    def select(self, request: Request) -> Sequence[Fault]:
        """Return the fault that was drawn for this request, if any."""
        if not super().select(request):
            return ()
        url = f"{request.path}?{urlencode(request.query)}"
        self._requested[url] += 1
        chance = random.Random(f"{self.seed} {self._requested[url]} {url}")
        if self._in_a_row[url] >= self.max_in_a_row or chance.random() >= self.rate:
            self._in_a_row[url] = 0
            return ()
        self._in_a_row[url] += 1
        return chance.choice(self.faults).select(request)
