"""Errors of a server, by what can be done about them.

TrackerError
    MissingTokenError                   there is no usable token
    InvalidTokenError                   the server does not accept the token
    ServerUnavailableError              the server sends no usable response at all
    UnreadableError                     one record or list cannot be read; others may be
        ForbiddenError                  the token has no permission for it
            NotFoundError               it is deleted, or hidden from this token
        FailedRequestError              the response to one request was not usable
        EndpointNotSupportedError       the server does not have the endpoint
            AmbiguousNotFoundError      the server may not have the endpoint
        InvalidRequestError             the server does not accept a parameter
"""

from __future__ import annotations

from ..errors import TrackerError


class MissingTokenError(TrackerError):
    """There is no usable token."""

    def __init__(self, problem: str = "There is no API token.") -> None:
        super().__init__(
            f"{problem} Set SOURCES__PIVOTAL_TRACKER__API_TOKEN, or api_token in "
            ".dlt/secrets.toml, to the one on your profile page."
        )


class InvalidTokenError(TrackerError):
    """The server does not accept the token."""


class ServerUnavailableError(TrackerError):
    """The server sends no usable response, however often a request is retried."""


class UnreadableError(TrackerError):
    """One record or list cannot be read; others may be."""


class ForbiddenError(UnreadableError):
    """The token has no permission for it, or it does not exist."""


class NotFoundError(ForbiddenError):
    """It does not exist: it was deleted, or is hidden from this token."""


class FailedRequestError(UnreadableError):
    """The server sent no usable response to one request, although it is up.

    Attributes:
        status: The HTTP status of the last response; None without a response or without JSON.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EndpointNotSupportedError(UnreadableError):
    """The server does not have the endpoint."""


class AmbiguousNotFoundError(EndpointNotSupportedError):
    """The status is 404 or another permanent 4xx, perhaps only for this record or list."""


class InvalidRequestError(UnreadableError):
    """The server does not accept a parameter of the request (400)."""
