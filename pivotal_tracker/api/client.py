"""Requests to one API v5 server: its token, its pages, how patiently they are repeated."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import APIKeyAuth

from ..errors import TrackerError
from ..limits import resolve_limits
from ..redaction import add_secret
from ..settings import MAX_LIST_ROWS, MAX_REDIRECTS, PROJECTS, TOKEN_PLACEHOLDER, Endpoint
from .addresses import ServerAddress
from .bodies import read_body
from .errors import (
    EndpointNotSupportedError,
    FailedRequestError,
    InvalidRequestError,
    MissingTokenError,
    ServerUnavailableError,
    UnreadableError,
)
from .fields import OF_EVERY_RECORD, named_in, outermost, without
from .json_text import InvalidJsonError, looks_like_json, parse_json, split_list
from .pages import Page, Params
from .responses import is_unconnected, no_response, raise_for_status

Record = dict[str, Any]

MAX_PATIENT_FAILURES = 3
"""After so many failures of an endpoint it is requested without repetition; after so many in a row
it is checked whether the server is up at all."""

_TRANSIENT_ERRORS = (
    requests.Timeout,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    InvalidJsonError,
)


class TrackerClient:
    """Reads one API v5 server, on dlt's REST client and its retrying session.

    Safe to use from many threads. How often and how patiently a request is repeated is dlt's
    `[runtime]` configuration (`request_max_attempts`, `request_timeout`, …).

    Attributes:
        server: Its address.
        counts: `requests` made, `attempts` that took, `answers` that came, and characters
            `replaced` because no database can hold them.
        refused_fields: What the server refused to give when asked for it in `fields`.
        refused_by_path: The same by the path of the endpoint.
        rejected: What was wrong with records that could not be parsed, by the path of their list.

    Args:
        base_url: Up to and including `/services/v5`, or `litetracker`.
        api_token: Sent in the header `X-TrackerToken`, and only to the host of `base_url`.
        requests_per_second: At most so many; None for as many as the server answers.

    Raises:
        MissingTokenError: The token is empty, a placeholder, or cannot be a header.
        TrackerError: `base_url` is no URL, or `requests_per_second` is not above 0.
    """

    def __init__(
        self, base_url: str, api_token: str, requests_per_second: float | None = None
    ) -> None:
        # what is no number is not above 0 either
        if requests_per_second is not None and not requests_per_second > 0:
            raise TrackerError(
                f"requests_per_second must be a number above 0, not {requests_per_second}."
            )
        self.server = ServerAddress(base_url)
        self.base_url = self.server.url
        self.counts: Counter[str] = Counter(requests=0, attempts=0, answers=0, replaced=0)
        # a dict, as dlt's traces are JSON, which has no sets
        self.refused_fields: dict[str, bool] = {}
        self.rejected: dict[str, list[str]] = {}
        self.refused_by_path: defaultdict[str, set[str]] = defaultdict(set)
        self._refused_params: set[str] = set()
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._next_request = 0.0
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._failed_in_a_row = 0
        self._has_succeeded = False
        self._thread = threading.local()
        self._limits = resolve_limits()
        self._runtime = resolve_configuration(RuntimeConfiguration())
        self._http = Client(
            request_timeout=self._runtime.request_timeout,
            raise_for_status=False,
            status_codes=(),
            exceptions=(),
            request_max_attempts=self._runtime.request_max_attempts,
            retry_condition=self._should_retry,
            request_backoff_factor=self._runtime.request_backoff_factor,
            request_max_retry_delay=self._runtime.request_max_retry_delay,
        )
        token = _checked_token(api_token)
        add_secret(token)
        self._auth = APIKeyAuth(name="X-TrackerToken", api_key=token, location="header")

    @property
    def max_attempts(self) -> int:
        """How often a request is sent before it is given up."""
        return int(self._runtime.request_max_attempts)

    def get(self, path: str, params: Params | None = None) -> Any:
        """Request one path; return the response as JSON.

        Raises:
            TrackerError: The kind says what can be done about it.
        """
        return self._json(self._send(path, params, closely=True).content)

    def records(self, page: Page) -> list[Record]:
        """Parse the records of a page, without characters that no database can hold.

        Raises:
            TrackerError: It is no list.
        """
        try:
            body = self._json(page.content)
        except InvalidJsonError:
            body = self._read_again(page)
        if isinstance(body, dict) and page.inside:
            if page.inside not in body:
                raise EndpointNotSupportedError(f"{page.path} has no {page.inside}.")
            body = body[page.inside]
        elif isinstance(body, dict) and page.is_single_record:
            body = [body]
        if not isinstance(body, list):
            raise FailedRequestError(f"{page.path}: the response is no list.")
        # a list of anything else has nothing that a table could hold
        return [record for record in body if isinstance(record, dict)]

    def _read_again(self, page: Page) -> Any:
        """Request a page again whose body is not JSON; parse its records one by one if need be.

        Half a JSON text may end as a whole one does, and the next response is whole. A record that
        no parser takes is left out and counted.
        """
        content = self._send(page.path, page.params, closely=False, template=page.path).content
        with contextlib.suppress(InvalidJsonError):
            return self._json(content)
        elements = split_list(content)
        if elements is None:
            raise FailedRequestError(f"{page.path}: the response is not JSON.")
        records = []
        for element in elements:
            try:
                records.append(self._json(element))
            except InvalidJsonError as error:
                found = re.search(rb'"id"\s*:\s*(\d{1,18})', element[:10_000])
                name = f"record {found[1].decode()}" if found else "a record"
                self.reject(page.path, f"{name} is {str(error).partition(':')[0]}")
        return records

    def reject(self, path: str, reason: str) -> None:
        """Note that a record of a list is left out.

        Args:
            path: The list's.
            reason: Which record, and why.
        """
        with self._lock:
            self.rejected[path] = [*self.rejected.get(path, []), reason]

    def page(
        self,
        endpoint: Endpoint,
        offset: int = 0,
        extra_params: Params | None = None,
        **path_values: Any,
    ) -> Page:
        """Request one page of a list, without the fields that the server has refused.

        Args:
            endpoint: The list.
            offset: Where in the list to begin.
            extra_params: More parameters.
            path_values: The values for the braces in the endpoint's path.

        Raises:
            TrackerError: The kind says what can be done about it.
        """
        path = endpoint.path.format(**path_values)
        while True:
            fields = without(endpoint.fields, self.refused_by_path[endpoint.path])
            extras = {k: v for k, v in endpoint.params.items() if k not in self._refused_params}
            params = _params(endpoint, fields, {**extras, **(extra_params or {})}, offset)
            try:
                response = self._send(path, params, closely=False, template=endpoint.path)
            except InvalidRequestError as error:
                if named := named_in(str(error), fields):
                    self.refuse_fields(endpoint.path, named)
                elif extra_params:
                    raise
                elif extras:
                    self._refused_params.update(extras)
                elif fields:
                    names = (outermost(fields) or OF_EVERY_RECORD) | {":default"}
                    self.refuse_fields(endpoint.path, names)
                else:
                    raise
            else:
                return _page(endpoint, path, params, response)

    def later_page(
        self,
        endpoint: Endpoint,
        offset: int,
        extra_params: Params | None = None,
        **path_values: Any,
    ) -> Page:
        """Request a page after the first, twice if it is empty: that may be a mistake."""
        page = self.page(endpoint, offset, extra_params, **path_values)
        return self.page(endpoint, offset, extra_params, **path_values) if page.is_empty else page

    def refuse_fields(self, path: str, names: Set[str]) -> None:
        """Request some fields of an endpoint no more; another one may have them."""
        self.refused_by_path[path] = self.refused_by_path[path] | names
        self.refused_fields |= dict.fromkeys(names - OF_EVERY_RECORD, True)

    @contextlib.contextmanager
    def file(self, address: str, begin: int = 0) -> Iterator[requests.Response]:
        """Request a file, to be read piece by piece.

        Args:
            address: A URL, or a path on the API's host. Where the server sends on to another
                address, that is followed; the token goes to none but the API's own host.
            begin: The byte to begin with. The answer is 206 where the server can do so, else it is
                200 and the whole file.

        Raises:
            TrackerError: The kind says what can be done about it.
            requests.RequestException: It broke off, while it was read.
        """
        url = urljoin(self.base_url, address)
        for _ in range(MAX_REDIRECTS):
            with self._open(url, begin) as response:
                if not response.is_redirect:
                    if response.status_code not in (requests.codes.ok, requests.codes.partial):
                        read_body(response, self._limits)
                        self._raise_for_status(response)
                    yield response
                    return
                try:
                    url = urljoin(url, response.headers["Location"])
                except ValueError as error:
                    raise ServerUnavailableError("It was sent on to no web address.") from error
        raise ServerUnavailableError(f"It was sent on more than {MAX_REDIRECTS} times.")

    def _open(self, url: str, begin: int) -> requests.Response:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ServerUnavailableError("It was sent on to something that is no web address.")
        self._thread.is_only = False
        self._throttle()
        self._count("requests")
        self._begin_attempts()
        try:
            return self._http.session.get(
                url,
                headers={"Range": f"bytes={begin}-"} if begin else {},
                auth=self._auth if self.server.is_origin_of(url) else None,
                stream=True,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            host = urlsplit(url).netloc
            raise ServerUnavailableError(
                f"{host} gave no answer: {type(error).__name__}."
            ) from error
        except ValueError as error:
            raise ServerUnavailableError("It was sent on to no web address.") from error

    def _send(
        self, path: str, params: Params | None, *, closely: bool, template: str = ""
    ) -> requests.Response:
        """Send a request, and repeat it unless its endpoint has failed often before.

        Raises:
            TrackerError: There is no usable response; the kind says what can be done about it.
        """
        self._thread.is_only = self._failures[template] >= MAX_PATIENT_FAILURES
        try:
            response = self._attempt(path, params, closely=closely)
            self._raise_for_status(response)
        except FailedRequestError:
            self._failures[template] += 1
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MAX_PATIENT_FAILURES:
                self._require_up()
            raise
        except UnreadableError:
            self._failed_in_a_row = 0
            raise
        self._failed_in_a_row, self._has_succeeded = 0, True
        return response

    def _attempt(
        self, path: str, params: Params | None, *, closely: bool = False
    ) -> requests.Response:
        self._throttle()
        self._count("requests")
        self._begin_attempts()
        try:
            return self._rest_client().get(
                path,
                params=dict(params or {}),
                hooks={"response": [partial(self._read_response, closely=closely)]},
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise no_response(
                error,
                self.server,
                attempts=self._thread.number,
                is_up=bool(self.counts["answers"]),
            ) from error
        except ValueError as error:
            # requests looks at the location of a redirect, also where it does not follow it
            raise FailedRequestError(f"{path}: a redirect to no web address.") from error

    def _rest_client(self) -> RESTClient:
        """The client of this thread: what repeats a session's requests is not made for several."""
        if not hasattr(self._thread, "rest_client"):
            self._thread.rest_client = RESTClient(
                self.base_url, auth=self._auth, session=self._http.session, config=self._runtime
            )
        client: RESTClient = self._thread.rest_client
        return client

    def _begin_attempts(self) -> None:
        self._thread.begin, self._thread.number = time.monotonic(), 0

    @property
    def _is_only_attempt(self) -> bool:
        """Whether the request that this thread makes is not to be repeated."""
        return getattr(self._thread, "is_only", False)

    def _require_up(self) -> None:
        """Ask once for the list of projects, without which nothing can be read.

        Raises:
            UnreachableError: The server is down.
        """
        self._thread.is_only = True
        try:
            self._raise_for_status(self._attempt(PROJECTS.path, None))
        except FailedRequestError as error:
            raise ServerUnavailableError(f"{error} {self.server.advice}") from error
        except UnreadableError:
            pass
        self._failed_in_a_row = 0

    def _throttle(self) -> None:
        if not self._interval:
            return
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next_request)
            self._next_request = at + self._interval
        time.sleep(at - now)

    def _read_response(
        self, response: requests.Response, *_: Any, closely: bool, **__: Any
    ) -> None:
        """Read the body; have the request repeated if it is not JSON. Parsing it takes time."""
        self._count("answers")
        read_body(response, self._limits)
        if response.status_code != requests.codes.ok:
            return
        if closely:
            parse_json(response.content)
        elif not looks_like_json(response.content):
            raise InvalidJsonError(f"not JSON: {len(response.content)} bytes")

    def _json(self, content: bytes) -> Any:
        value, replaced = parse_json(content)
        self._count("replaced", replaced)
        return value

    def _count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self.counts[name] += number

    def _should_retry(
        self, response: requests.Response | None, error: BaseException | None
    ) -> bool:
        """Check after every attempt whether the same request may be answered the next time.

        A server that was never there is not waited for, one that went away is.
        """
        self._count("attempts")
        self._thread.number += 1
        if self._is_only_attempt or self._is_too_late(response):
            return False
        if isinstance(error, requests.exceptions.SSLError) or is_unconnected(error):
            return bool(self.counts["answers"])
        if response is not None:
            status = response.status_code
            return status in (requests.codes.too_many, requests.codes.timeout) or status >= 500
        return isinstance(error, _TRANSIENT_ERRORS)

    def _is_too_late(self, response: requests.Response | None) -> bool:
        """Check whether another attempt would begin after the time for all of them."""
        wait = 0 if response is None else _seconds_to_wait(response)
        passed: float = time.monotonic() - self._thread.begin
        return passed + wait > self._limits.max_attempts_seconds

    def _raise_for_status(self, response: requests.Response) -> None:
        try:
            raise_for_status(response, self.server, has_succeeded=self._has_succeeded)
        except FailedRequestError as error:
            wait = _seconds_to_wait(response)
            if wait and self._is_too_late(response):
                text = f"{str(error).rstrip('.')}, and the server asks to wait {wait:,} s."
                raise FailedRequestError(text, error.status) from None
            raise


def _params(
    endpoint: Endpoint, fields: Sequence[str], extras: Params, offset: int
) -> dict[str, Any]:
    params = dict(extras)
    if fields:
        params["fields"] = ",".join(fields)
    if endpoint.limit is not None:
        params["limit"] = endpoint.limit
    if offset:
        params["offset"] = offset
    return params


def _page(endpoint: Endpoint, path: str, params: Params, response: requests.Response) -> Page:
    total = _number(response, "X-Tracker-Pagination-Total")
    return Page(
        path=path,
        params=params,
        content=response.content,
        offset=params.get("offset", 0),
        limit=_number(response, "X-Tracker-Pagination-Limit"),
        total=total,
        version=_number(response, "X-Tracker-Project-Version"),
        is_paged=endpoint.limit is not None or total is not None,
        inside=endpoint.inside,
        is_single_record=endpoint.is_single_record,
    )


def _seconds_to_wait(response: requests.Response) -> int:
    """Return what `Retry-After` asks for; 0 where it is absent, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    return int(text[:9]) if text.isdecimal() else 0


def _number(response: requests.Response, header: str) -> int | None:
    """Parse a number in a header; None if it is absent, or cannot be right."""
    text = response.headers.get(header, "")
    if not text.isdecimal() or len(text) > len(str(MAX_LIST_ROWS)):
        return None
    return int(text)


def _checked_token(api_token: str) -> str:
    token = api_token.strip()
    if not token or token == TOKEN_PLACEHOLDER:
        raise MissingTokenError
    if not token.isascii() or not token.isprintable() or " " in token:
        raise MissingTokenError("The API token has characters that no token has.")
    return token
