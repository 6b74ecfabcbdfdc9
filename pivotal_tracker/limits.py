"""Limits on a server's responses, with defaults that a configuration may change."""

from __future__ import annotations

from typing import ClassVar

from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration

from .errors import TrackerError


@configspec
class Limits(BaseConfiguration):
    """The limits, set in `[sources.pivotal_tracker.limits]`.

    If a limit is exceeded, the list of the project is skipped, or the record is rejected.

    Attributes:
        max_response_bytes: The size of a response after decompression.
        max_depth: How many lists and objects may be nested in an undeclared attribute.
        max_new_columns: How many undeclared attributes of each table get a column or child table of
            their own; the others go to the table's JSON column `_undeclared`.
        max_request_seconds: How long a response may take until its last byte.
        max_attempts_seconds: How long a request is retried, including the waits. If `Retry-After`
            asks for a longer wait, the request is not retried. A single wait is at most
            `[runtime] request_max_retry_delay`.
    """

    max_response_bytes: int = 100_000_000
    max_depth: int = 100
    max_new_columns: int = 100
    max_request_seconds: float = 300
    max_attempts_seconds: float = 600

    __section__: ClassVar[str] = "limits"

    def on_resolved(self) -> None:
        """Check that all limits are above 0."""
        for name, value in dict(self).items():
            # `not value > 0` also catches NaN
            if not value > 0:
                raise TrackerError(f"limits.{name} must be above 0, not {value}.")


def resolve_limits() -> Limits:
    """Read the limits from dlt's configuration."""
    return resolve_configuration(Limits(), sections=("sources", "pivotal_tracker"))
