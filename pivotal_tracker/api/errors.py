"""What can go wrong with a server, by what can be done about it.

TrackerError
MissingTokenError        there is no usable token
InvalidTokenError        the server does not accept it
UnreachableError         the server gives no usable response at all
UnreadableError          one thing cannot be read; the rest may be
RefusedError         it is refused to this token
UnfoundError     it is deleted, or this token may not know of it
FailedRequestError   the response to one request was not usable
NotOfferedError      the server has no such endpoint
PerhapsNotOfferedError
InvalidRequestError  a parameter is not accepted
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


class UnreachableError(TrackerError):
    """The server gave no usable answer, however often it was asked."""


class UnreadableError(TrackerError):
    """One thing cannot be read; the rest may be."""


class RefusedError(UnreadableError):
    """The server refuses one thing to this token, or does not have it."""


class UnfoundError(RefusedError):
    """The server does not have it: it is gone, or this token may not know of it."""


class FailedRequestError(UnreadableError):
    """The server gave no usable response to one request, though it is up.

    Attributes:
        status: The HTTP status of the last response; None if there was none, or it was no JSON.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotOfferedError(UnreadableError):
    """The server has no such endpoint for anyone."""


class PerhapsNotOfferedError(NotOfferedError):
    """It answers 404 or another permanent 4xx, perhaps for this one thing only."""


class InvalidRequestError(UnreadableError):
    """The server does not take a parameter of the request (400)."""
