"""The client of a server of API v5: authentication, pages, retries and the request rate."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
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
from ..records import Record
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
from .fields import ALWAYS_SUPPORTED, exclude_fields, fields_named_in, top_level_names
from .json_text import InvalidJsonError, looks_like_json, parse_json, split_list
from .pages import Page, Params
from .responses import is_unconnected, no_response, raise_for_status

MAX_PATIENT_FAILURES = 3
"""After this many failures, requests to an endpoint are not retried. After this many in a row,
the client checks whether the server is up at all."""

_BAD_REDIRECT = "It was redirected to something that is not a web address."

_TRANSIENT_ERRORS = (
    requests.Timeout,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    InvalidJsonError,
)


class TrackerClient:
    """Read a server of API v5 with dlt's REST client, which retries requests.

    Safe for threads. Retries and timeouts are set in dlt's configuration `[runtime]`
    (`request_max_attempts`, `request_timeout`, …).

    Attributes:
        server: Its address.
        counts: The numbers of `requests`, of `attempts` including retries, of `responses` received,
            and of characters `replaced` because no database can store them.
        refused_fields: The names that the server does not accept in `fields`.
        refused_by_path: The same names by the path of the endpoint.
        rejected: Why records could not be parsed, by the path of their list.

    Args:
        base_url: Up to and including `/services/v5`, or `litetracker`.
        api_token: Sent in the header `X-TrackerToken`, and only to the host of `base_url`.
        requests_per_second: The maximum; None for no limit.

    Raises:
        MissingTokenError: The token is empty, a placeholder, or cannot be a header.
        TrackerError: `base_url` is not a URL, or `requests_per_second` is not above 0.
    """

    def __init__(
        self, base_url: str, api_token: str, requests_per_second: float | None = None
    ) -> None:
        # `not x > 0` also catches NaN
        if requests_per_second is not None and not requests_per_second > 0:
            raise TrackerError(
                f"requests_per_second must be a number above 0, not {requests_per_second}."
            )
        self.server = ServerAddress(base_url)
        self.counts: Counter[str] = Counter(requests=0, attempts=0, responses=0, replaced=0)
        self.refused_fields: set[str] = set()
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
            raise_for_status=False,
            status_codes=(),
            exceptions=(),
            retry_condition=self._should_retry,
        )
        self._http.update_from_config(self._runtime)
        token = _validate_token(api_token)
        add_secret(token)
        self._auth = APIKeyAuth(name="X-TrackerToken", api_key=token, location="header")

    def metrics(self) -> dict[str, Any]:
        """Return a copy of the counts, the refused fields and the rejected records."""
        with self._lock:
            return {
                "counts": Counter(self.counts),
                # dlt's traces are JSON, which has no sets
                "refused_fields": dict.fromkeys(sorted(self.refused_fields), True),
                "unparsable": dict(self.rejected),
            }

    @property
    def max_attempts(self) -> int:
        """How often a request is sent at most."""
        return int(self._runtime.request_max_attempts)

    def records(self, page: Page) -> list[Record]:
        """Parse the records of a page; characters that no database can store are replaced.

        Raises:
            TrackerError: It is not a list.
        """
        try:
            body = self._json(page.content)
        except InvalidJsonError:
            body = self._parse_again(page)
        endpoint = page.endpoint
        if isinstance(body, dict) and endpoint.data_key:
            if endpoint.data_key not in body:
                raise EndpointNotSupportedError(f"{page.path} has no {endpoint.data_key}.")
            body = body[endpoint.data_key]
        elif isinstance(body, dict) and endpoint.is_single_record:
            body = [body]
        if not isinstance(body, list):
            raise FailedRequestError(f"{page.path}: the response is not a list.")
        # other values than objects fit no table
        return [record for record in body if isinstance(record, dict)]

    def _parse_again(self, page: Page) -> Any:
        """Request a page again if its body is not JSON; then parse its records one by one.

        A truncated body may look complete, and the next response may be complete. A record that is
        not JSON is left out and counted.
        """
        content = self._send(page.path, page.params, template=page.path).content
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
        """Record that a record of a list is left out.

        Args:
            path: The path of the list.
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
        """Request a page of a list, without the fields that the server has refused.

        Args:
            endpoint: The list.
            offset: The position in the list of the first row.
            extra_params: More parameters.
            path_values: The values for the braces in the endpoint's path.

        Raises:
            TrackerError: See `api.errors` for the types.
        """
        path = endpoint.path.format(**path_values)
        while True:
            fields = exclude_fields(endpoint.fields, self.refused_by_path[endpoint.path])
            extras = {k: v for k, v in endpoint.params.items() if k not in self._refused_params}
            params = _params(endpoint, fields, {**extras, **(extra_params or {})}, offset)
            try:
                response = self._send(path, params, template=endpoint.path)
            except InvalidRequestError as error:
                if named := fields_named_in(str(error), fields):
                    self.refuse_fields(endpoint.path, named)
                elif extra_params:
                    raise
                elif extras:
                    self._refused_params |= extras.keys()
                elif fields:
                    names = (top_level_names(fields) or ALWAYS_SUPPORTED) | {":default"}
                    self.refuse_fields(endpoint.path, names)
                else:
                    raise
            else:
                return Page(
                    endpoint,
                    path,
                    params,
                    response.content,
                    offset,
                    total=_number(response, "X-Tracker-Pagination-Total"),
                    version=_number(response, "X-Tracker-Project-Version"),
                )

    def later_page(
        self,
        endpoint: Endpoint,
        offset: int,
        extra_params: Params | None = None,
        **path_values: Any,
    ) -> Page:
        """Request a page after the first; twice if it is empty, which may be an error."""
        page = self.page(endpoint, offset, extra_params, **path_values)
        return self.page(endpoint, offset, extra_params, **path_values) if page.is_empty else page

    def pages(
        self, endpoint: Endpoint, extra_params: Params | None = None, **path_values: Any
    ) -> Iterator[tuple[Page, list[Record]]]:
        """Request the pages of a list one after the other; yield each with its records."""
        offset: int | None = 0
        while offset is not None:
            get = self.later_page if offset else self.page
            page = get(endpoint, offset, extra_params, **path_values)
            records = self.records(page)
            yield page, records
            offset = next(iter(page.next_offsets(len(records))), None)

    def refuse_fields(self, path: str, names: Set[str]) -> None:
        """Stop requesting some fields of an endpoint; others may support them."""
        with self._lock:
            self.refused_by_path[path] = self.refused_by_path[path] | names
            self.refused_fields |= names - ALWAYS_SUPPORTED

    @contextlib.contextmanager
    def file(self, address: str, begin: int = 0) -> Iterator[requests.Response]:
        """Request a file, to be read in chunks.

        Args:
            address: A URL, or a path on the API's host. Redirects are followed; the token is sent
                only to the API's own host.
            begin: The first byte to request. The status is 206 if the server supports this, else
                200 with the whole file.

        Raises:
            TrackerError: See `api.errors` for the types.
            requests.RequestException: The connection was lost.
        """
        url = urljoin(self.server.url, address)
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
                    raise ServerUnavailableError(_BAD_REDIRECT) from error
        raise ServerUnavailableError(f"It was redirected more than {MAX_REDIRECTS} times.")

    def _open(self, url: str, begin: int) -> requests.Response:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ServerUnavailableError(_BAD_REDIRECT)
        self._begin_request(is_single_attempt=False)
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
            raise ServerUnavailableError(_BAD_REDIRECT) from error

    def _send(self, path: str, params: Params, *, template: str) -> requests.Response:
        """Send a request; retry it unless its endpoint has failed often.

        Args:
            path: The path of the request.
            params: Its parameters.
            template: The path by which failures are counted.

        Raises:
            TrackerError: There is no usable response; see `api.errors` for the types.
        """
        is_single_attempt = self._failures[template] >= MAX_PATIENT_FAILURES
        try:
            response = self._request(path, params, is_single_attempt=is_single_attempt)
            self._raise_for_status(response)
        except FailedRequestError:
            with self._lock:
                self._failures[template] += 1
                self._failed_in_a_row += 1
                may_be_down = self._failed_in_a_row >= MAX_PATIENT_FAILURES
            if may_be_down:
                self._require_up()
            raise
        except UnreadableError:
            self._failed_in_a_row = 0
            raise
        self._failed_in_a_row, self._has_succeeded = 0, True
        return response

    def _request(self, path: str, params: Params, *, is_single_attempt: bool) -> requests.Response:
        self._begin_request(is_single_attempt=is_single_attempt)
        try:
            return self._rest_client().get(
                path,
                params=dict(params),
                hooks={"response": [self._read_response]},
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise no_response(
                error,
                self.server,
                attempts=self._thread.number,
                is_up=bool(self.counts["responses"]),
            ) from error
        except ValueError as error:
            # requests parses the location of a redirect even if it does not follow it
            raise FailedRequestError(
                f"{path}: a redirect to something that is not a web address."
            ) from error

    def _rest_client(self) -> RESTClient:
        """Return the client of this thread: the retries of a session are not safe for threads."""
        if not hasattr(self._thread, "rest_client"):
            self._thread.rest_client = RESTClient(
                self.server.url, auth=self._auth, session=self._http.session, config=self._runtime
            )
        client: RESTClient = self._thread.rest_client
        return client

    def _begin_request(self, *, is_single_attempt: bool) -> None:
        """Wait until this thread may send a request, and note whether it is retried."""
        self._throttle()
        self._count("requests")
        self._thread.is_single_attempt = is_single_attempt
        self._thread.begin, self._thread.number = time.monotonic(), 0

    def _require_up(self) -> None:
        """Request the list of projects once: without it, nothing can be read.

        Raises:
            ServerUnavailableError: The server is down.
        """
        try:
            self._raise_for_status(self._request(PROJECTS.path, {}, is_single_attempt=True))
        except FailedRequestError as error:
            raise ServerUnavailableError(f"{error} {self.server.hint}") from error
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

    def _read_response(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Read the body; raise an error that is retried if it does not look like JSON."""
        self._count("responses")
        read_body(response, self._limits)
        if response.status_code == requests.codes.ok and not looks_like_json(response.content):
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
        """Check after each attempt whether to retry the request.

        A connection failure is retried only if the server has answered before.
        """
        self._count("attempts")
        self._thread.number += 1
        if self._thread.is_single_attempt or self._is_too_late(response):
            return False
        if isinstance(error, requests.exceptions.SSLError) or is_unconnected(error):
            return bool(self.counts["responses"])
        if response is not None:
            status = response.status_code
            return status in (requests.codes.too_many, requests.codes.timeout) or status >= 500
        return isinstance(error, _TRANSIENT_ERRORS)

    def _is_too_late(self, response: requests.Response | None) -> bool:
        """Check whether another attempt would begin after the time limit for all attempts."""
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


def _seconds_to_wait(response: requests.Response) -> int:
    """Return the seconds in `Retry-After`; 0 if it is absent or a date."""
    text = response.headers.get("Retry-After", "").strip()
    return int(text[:9]) if text.isdecimal() else 0


def _number(response: requests.Response, header: str) -> int | None:
    """Parse a number in a header; None if it is absent or not plausible."""
    text = response.headers.get(header, "")
    if not text.isdecimal() or len(text) > len(str(MAX_LIST_ROWS)):
        return None
    return int(text)


def _validate_token(api_token: str) -> str:
    token = api_token.strip()
    if not token or token == TOKEN_PLACEHOLDER:
        raise MissingTokenError
    if not token.isascii() or not token.isprintable() or " " in token:
        raise MissingTokenError("The API token has invalid characters.")
    return token
