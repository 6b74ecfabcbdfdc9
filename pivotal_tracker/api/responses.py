"""Convert responses without data, and requests without a response, to errors."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from dlt.common.json import json
from urllib3.exceptions import NameResolutionError, NewConnectionError

from ..errors import TrackerError
from ..redaction import redact
from ..settings import SHUTDOWN_NOTICE
from .addresses import ServerAddress, printable, shown_address
from .bodies import ResponseTooLargeError, ResponseTooSlowError
from .errors import (
    AmbiguousNotFoundError,
    EndpointNotSupportedError,
    FailedRequestError,
    ForbiddenError,
    InvalidRequestError,
    InvalidTokenError,
    NotFoundError,
    ServerUnavailableError,
)
from .json_text import InvalidJsonError

_CLEAR_ERRORS = (InvalidJsonError, ResponseTooLargeError, ResponseTooSlowError)
"""Errors whose text is shown; for others, only their type is."""


def raise_for_status(
    response: requests.Response, server: ServerAddress, *, has_succeeded: bool
) -> None:
    """Raise an error unless the status is 200.

    Args:
        response: The response, with its body read.
        server: The server that sent it.
        has_succeeded: Whether the server has accepted the token before.

    Raises:
        TrackerError: The kind says what can be done about it.
    """
    status = response.status_code
    if status == requests.codes.ok:
        return
    code, problem = _parse_problem(response)
    text = f"{response.request.path_url.split('?')[0]}: {status} {problem}".rstrip()
    if status == 401 and has_succeeded:
        raise ForbiddenError(text)
    if status == 401 or code == "invalid_authentication":
        raise InvalidTokenError(
            f"{server.host} does not accept the API token. Take it from your profile page there "
            "and set SOURCES__PIVOTAL_TRACKER__API_TOKEN."
            + (f" {SHUTDOWN_NOTICE}." if server.is_original else "")
        )
    kind = _error_kind(status, code)
    if kind is FailedRequestError:
        is_redirect = 300 <= status < 400
        text = _redirect(response, server, text) if is_redirect else f"{text.rstrip('.')}."
        raise FailedRequestError(text, status)
    raise kind(text)


def _error_kind(status: int, code: str) -> type[TrackerError]:
    """Return the type of the error for a status and API v5's error code."""
    if code == "unfound_resource":
        return NotFoundError
    if status == 403:
        return ForbiddenError
    if code == "route_not_found":
        return EndpointNotSupportedError
    if status == 400:
        return InvalidRequestError
    if 400 <= status < 500 and status not in (requests.codes.too_many, requests.codes.timeout):
        return AmbiguousNotFoundError
    return FailedRequestError


def _redirect(response: requests.Response, server: ServerAddress, text: str) -> str:
    if "Location" not in response.headers:
        return f"{text}: a redirect that does not say where to."
    target = shown_address(response.headers["Location"])
    return (
        f"{server.host} redirects to another address ({target}), and the token is not sent there. "
        f"If that is the server you mean, set it as base_url. {server.hint}"
    )


def no_response(
    error: requests.RequestException, server: ServerAddress, *, attempts: int, is_up: bool
) -> TrackerError:
    """Return the error for a request to which no usable response came.

    Args:
        error: The error of the last attempt.
        server: The server that it was sent to.
        attempts: The number of attempts.
        is_up: Whether the server has answered before.
    """
    if is_unconnected(error):
        problem = f"{server.netloc} cannot be reached: no server answers there."
    elif isinstance(error, requests.exceptions.SSLError):
        *_, innermost = _causes(error)
        problem = (
            f"{server.netloc} cannot be reached by https: it speaks http, or has no certificate "
            f"that this machine trusts ({innermost})."
        )
    else:
        path = urlsplit((error.request and error.request.url) or "").path
        times = f"{attempts} attempt{'s' * (attempts != 1)}"
        reason = str(error) if isinstance(error, _CLEAR_ERRORS) else type(error).__name__
        return FailedRequestError(
            f"{server.netloc}{path}: no usable response in {times}: {reason}."
        )
    return (
        FailedRequestError(problem) if is_up else ServerUnavailableError(f"{problem} {server.hint}")
    )


def _parse_problem(response: requests.Response) -> tuple[str, str]:
    """Return the code and the text of an error; only the reason if it is a proxy's page."""
    try:
        body = json.loadb(response.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "", response.reason or ""
    parts = [body.get(name) for name in ("error", "general_problem", "requirement")]
    text = redact(" ".join(str(part) for part in parts if part))[:500]
    return str(body.get("code", "")), printable(text)


def is_unconnected(error: BaseException | None) -> bool:
    """Check whether no connection was made: unknown host, nothing listening, or a timeout."""
    return isinstance(error, requests.ConnectTimeout) or any(
        isinstance(reason, NewConnectionError | NameResolutionError) for reason in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that requests and urllib3 wrapped in it, outermost first."""
    while error is not None:
        yield error
        reason = getattr(error, "reason", None) or next(iter(error.args), None)
        error = reason if isinstance(reason, BaseException) else None
