"""How much of a server's responses is accepted, with defaults that a configuration may change."""

from __future__ import annotations

from typing import ClassVar

from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration

from .errors import TrackerError


@configspec
class Limits(BaseConfiguration):
    """The limits, set in `[sources.pivotal_tracker.limits]`.

    Beyond one of them, the list of a project is skipped, or the record is rejected.

    Attributes:
        max_response_bytes: The size of a response after decompression.
        max_depth: How many lists and objects may be nested in an attribute that is not declared.
        max_new_columns: How many attributes that are not declared get a column, or a table, of
            their own, for each table; the others go to its JSON column `_undeclared`.
        max_request_seconds: How long a response may take until its last byte.
        max_attempts_seconds: How long a request is repeated, with the waits in between. Where
            `Retry-After` asks for more, the request is not repeated; what it asks for is waited up
            to `[runtime] request_max_retry_delay`.
    """

    max_response_bytes: int = 100_000_000
    max_depth: int = 100
    max_new_columns: int = 100
    max_request_seconds: float = 300
    max_attempts_seconds: float = 600

    __section__: ClassVar[str] = "limits"

    def on_resolved(self) -> None:
        """Refuse limits that nothing could keep."""
        for name, value in dict(self).items():
            # what is no number is not above 0 either
            if not value > 0:
                raise TrackerError(f"limits.{name} must be above 0, not {value}.")


def resolve_limits() -> Limits:
    """Read the limits from dlt's configuration."""
    return resolve_configuration(Limits(), sections=("sources", "pivotal_tracker"))
