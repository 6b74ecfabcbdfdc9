"""The errors of API v5, with Tracker's bodies.

Codes, texts and statuses are those of recorded responses or of public tests against the original.
"""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """A request that cannot be fulfilled.

    Attributes:
        status: The HTTP status of the response.
        body: The error record: `kind`, `code`, `error`, and what explains it further.
    """

    def __init__(self, status: int, code: str, error: str, **more: str) -> None:
        super().__init__(f"{status} {code}: {more.get('general_problem', error)}")
        self.status = status
        self.body = {"kind": "error", "code": code, "error": error, **more}


def invalid_authentication(status: int) -> ApiError:
    """Return the error for a missing or invalid token."""
    return ApiError(
        status, "invalid_authentication", "Invalid authentication credentials were presented."
    )


def unauthorized_operation() -> ApiError:
    """Return the error for what this token may not read."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "unauthorized_operation",
        "Authorization failure.",
        general_problem="You aren't authorized to access the requested resource.",
        possible_fix="Ask an owner of the project to make you a member of it, and check that API "
        "access to it is not disabled.",
    )


def invalid_parameter(problem: str) -> ApiError:
    """Return the error for a parameter that is not accepted, missing or invalid."""
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        "invalid_parameter",
        "One or more request parameters was missing or invalid.",
        general_problem=problem,
    )


def invalid_host(host: str) -> ApiError:
    """Return the error for a `Host` header that names another server."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "invalid_host",
        "The Host header names another server.",
        general_problem=f"This server is not known as {host!r}.",
        possible_fix="Use 127.0.0.1 or localhost, or start the server with --host.",
    )


def unfound_resource() -> ApiError:
    """Return the error for a record that does not exist, or no longer."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "unfound_resource",
        "The object you tried to access could not be found. It may have been removed by another "
        "user, you may be using the ID of another object type, or you may be trying to access a "
        "sub-resource at the wrong point in a tree.",
    )


def route_not_found() -> ApiError:
    """Return the error for a path or method that is not served."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "route_not_found",
        "The path you requested has no valid endpoint.",
    )


def unhandled_condition() -> ApiError:
    """Return the error for a failure of the server."""
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "unhandled_condition",
        "An unexpected condition occurred.",
    )


def gateway_timeout() -> ApiError:
    """Return the error for a server that took too long."""
    return ApiError(
        HTTPStatus.GATEWAY_TIMEOUT, "gateway_timeout", "The server did not respond in time."
    )
