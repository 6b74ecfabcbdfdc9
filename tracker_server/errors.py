"""The answers that say no, with the bodies that Tracker gave.

Codes, texts and statuses are those of recorded answers or of public tests against the original;
which status a wrong token got is not known, so that one can be chosen.
"""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """A request that is answered with an error body.

    Attributes:
        status: The HTTP status of the answer.
        body: The error record: `kind`, `code`, `error`, and whatever else explains it.
    """

    def __init__(self, status: int, code: str, error: str, **more: str) -> None:
        super().__init__(f"{status} {code}: {more.get('general_problem', error)}")
        self.status = status
        self.body = {"kind": "error", "code": code, "error": error, **more}


def invalid_authentication(status: int) -> ApiError:
    """Say that the token is missing or wrong."""
    return ApiError(
        status, "invalid_authentication", "Invalid authentication credentials were presented."
    )


def unauthorized_operation() -> ApiError:
    """Say that the thing is there, but not for this token."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "unauthorized_operation",
        "Authorization failure.",
        general_problem="You aren't authorized to access the requested resource.",
        possible_fix="Ask an owner of the project to make you a member of it, and check that API "
        "access to it is not disabled.",
    )


def invalid_parameter(problem: str) -> ApiError:
    """Say which parameter is not taken, missing, or has no sensible value."""
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        "invalid_parameter",
        "One or more request parameters was missing or invalid.",
        general_problem=problem,
    )


def invalid_host(host: str) -> ApiError:
    """Say that the server is not known by the name in the `Host` header."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "invalid_host",
        "The Host header names another server.",
        general_problem=f"This server is not known as {host!r}.",
        possible_fix="Use 127.0.0.1 or localhost, or start the server with --host.",
    )


def unfound_resource() -> ApiError:
    """Say that there is no such thing here, or no more."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "unfound_resource",
        "The object you tried to access could not be found. It may have been removed by another "
        "user, you may be using the ID of another object type, or you may be trying to access a "
        "sub-resource at the wrong point in a tree.",
    )


def route_not_found() -> ApiError:
    """Say that nothing is served under this path, or not with this method."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "route_not_found",
        "The path you requested has no valid endpoint.",
    )


def unhandled_condition() -> ApiError:
    """Say that the server itself failed."""
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "unhandled_condition",
        "An unexpected condition occurred.",
    )


def gateway_timeout() -> ApiError:
    """Say that the server behind the gateway took too long."""
    return ApiError(
        HTTPStatus.GATEWAY_TIMEOUT, "gateway_timeout", "The server did not respond in time."
    )
