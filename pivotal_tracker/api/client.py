"""One API v5 server: its token, its pages, its errors, its pace. Knows HTTP and no table."""

from __future__ import annotations

import codecs
import contextlib
import json as stdlib_json
import re
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from urllib3.exceptions import NameResolutionError, NewConnectionError

from ..errors import TrackerError
from ..settings import (
    MOST_REDIRECTS,
    MOST_ROWS,
    PROJECTS,
    SHUT_DOWN,
    TOKEN_PLACEHOLDER,
    TRACKER_URL,
    URL_ALIASES,
    Endpoint,
)
from .fields import OF_EVERY_RECORD, named_in, outermost, without

Record = dict[str, Any]
Params = Mapping[str, Any]

MAX_PATIENT_FAILURES = 3
"""After so many failures of an endpoint it is asked without repetition; after so many in a row it
is checked whether the server is up at all."""

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)
"""A string, or what lists and objects are made of."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


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


class _MalformedAnswerError(requests.exceptions.RequestException):
    """An answer of status 200 whose body is not JSON: a proxy's page, or a body cut short."""


_PASSING_ERRORS = (
    requests.Timeout,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    _MalformedAnswerError,
)


@dataclass(frozen=True)
class Page:
    """One page of a list, as it came: read by `TrackerClient.records` when there is time for it.

    Attributes:
        path: Where it came from.
        params: What was asked.
        content: The body, a tenth of the size of the records in it.
        offset: Where in the list the page begins.
        limit: How many rows the server gives per page at most, as it says; None where it does not.
        total: How many rows the server says there are, which may be more than can be had; None
            where it does not say.
        version: The project's version when the page was read, None where the server does not say.
        is_paged: Whether more pages may follow.
        inside: The attribute that holds the list, where the body is one object.
        is_one: Whether the body is one record.
    """

    path: str
    params: Params
    content: bytes
    offset: int
    limit: int | None
    total: int | None
    version: int | None
    is_paged: bool
    inside: str = ""
    is_one: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it is a list without records."""
        return self.content.translate(None, b" \t\r\n") == b"[]"

    def following_offsets(self, returned: int) -> Sequence[int]:
        """Where the pages after this one begin, as far as it is known.

        Args:
            returned: How many records this page has.

        Returns:
            All of them where the server says how many rows there are; else the next one, as only an
            empty page is the end. The step is what this page returned; a later page may return
            fewer.
        """
        if not returned or not self.is_paged:
            return ()
        if self.known_total(returned) is None:
            return (self.offset + returned,)
        return range(self.offset + returned, self.total or 0, returned)

    def known_total(self, returned: int) -> int | None:
        """How many rows there are, unless the page itself proves the server's number wrong."""
        is_wrong = self.total is not None and self.offset + returned > self.total
        return None if is_wrong else self.total


class TrackerClient:
    """Reads one API v5 server, on dlt's REST client and its retrying session.

    Safe to use from many threads. How often and how patiently a request is repeated is dlt's
    `[runtime]` configuration (`request_max_attempts`, `request_timeout`, …).

    Attributes:
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
        self.base_url = _checked_url(base_url)
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
        self._attempts = threading.local()
        self._runtime = resolve_configuration(RuntimeConfiguration())
        self._http = Client(
            request_timeout=self._runtime.request_timeout,
            raise_for_status=False,
            status_codes=(),
            exceptions=(),
            request_max_attempts=self._runtime.request_max_attempts,
            retry_condition=self._may_recover,
            request_backoff_factor=self._runtime.request_backoff_factor,
            request_max_retry_delay=self._runtime.request_max_retry_delay,
        )
        self._rest = RESTClient(
            self.base_url,
            auth=APIKeyAuth(
                name="X-TrackerToken", api_key=_checked_token(api_token), location="header"
            ),
            session=self._http.session,
            config=self._runtime,
        )

    @property
    def most_attempts(self) -> int:
        """How often the same thing is asked for before it is given up."""
        return int(self._runtime.request_max_attempts)

    def get(self, path: str, params: Params | None = None) -> Any:
        """One answer, as JSON.

        Raises:
            TrackerError: The kind says what can be done about it.
        """
        return self._json(self._answer(path, params, closely=True).content)

    def records(self, page: Page) -> list[Record]:
        """The records of a page, without characters that no database can hold.

        Raises:
            TrackerError: It is no list.
        """
        try:
            body = self._json(page.content)
        except _MalformedAnswerError:
            body = self._read_again(page)
        if isinstance(body, dict) and page.inside:
            if page.inside not in body:
                raise NotOfferedError(f"{page.path} does not tell its {page.inside}.")
            body = body[page.inside]
        elif isinstance(body, dict) and page.is_one:
            body = [body]
        if not isinstance(body, list):
            raise FailedRequestError(f"{page.path}: the response is no list.")
        # a list of anything else has nothing that a table could hold
        return [record for record in body if isinstance(record, dict)]

    def _read_again(self, page: Page) -> Any:
        """The body of a page that is not JSON, requested again; its records one by one if need be.

        Half a JSON text may end as a whole one does, which the next response mends. A record that
        no parser takes stays as it is: it is left out and counted.
        """
        content = self._answer(page.path, page.params, closely=False, template=page.path).content
        with contextlib.suppress(_MalformedAnswerError):
            return self._json(content)
        elements = split_list(content)
        if elements is None:
            raise FailedRequestError(f"{page.path}: the response is not JSON.")
        records = []
        for element in elements:
            try:
                records.append(self._json(element))
            except _MalformedAnswerError:
                self._note_rejected(page.path, element)
        return records

    def _note_rejected(self, path: str, element: bytes) -> None:
        found = re.search(rb'"id"\s*:\s*(\d{1,18})', element[:10_000])
        name = f"record {found[1].decode()}" if found else "a record"
        with self._lock:
            self.rejected[path] = [*self.rejected.get(path, []), f"{name} is not valid JSON"]

    def page(
        self,
        endpoint: Endpoint,
        offset: int = 0,
        asked: Params | None = None,
        **path_values: Any,
    ) -> Page:
        """One page of a list, without the fields that the server has refused.

        Args:
            endpoint: The list.
            offset: Where in the list to begin.
            asked: More parameters.
            path_values: What stands in the braces of the endpoint's path.

        Raises:
            TrackerError: The kind says what can be done about it.
        """
        path = endpoint.path.format(**path_values)
        while True:
            fields = without(endpoint.fields, self.refused_by_path[endpoint.path])
            extras = {k: v for k, v in endpoint.params.items() if k not in self._refused_params}
            params: dict[str, Any] = {**extras, **(asked or {})}
            if fields:
                params["fields"] = ",".join(fields)
            if endpoint.limit is not None:
                params["limit"] = endpoint.limit
            if offset:
                params["offset"] = offset
            try:
                response = self._answer(path, params, closely=False, template=endpoint.path)
            except InvalidRequestError as error:
                named = named_in(str(error), fields)
                if named:
                    self.refuse_fields(endpoint.path, named)
                elif asked:
                    raise
                elif extras:
                    self._refused_params.update(extras)
                elif fields:
                    names = (outermost(fields) or OF_EVERY_RECORD) | {":default"}
                    self.refuse_fields(endpoint.path, names)
                else:
                    raise
            else:
                total = _number(response, "X-Tracker-Pagination-Total")
                return Page(
                    path=path,
                    params=params,
                    content=response.content,
                    offset=offset,
                    limit=_number(response, "X-Tracker-Pagination-Limit"),
                    total=total,
                    version=_number(response, "X-Tracker-Project-Version"),
                    is_paged=endpoint.limit is not None or total is not None,
                    inside=endpoint.inside,
                    is_one=endpoint.is_one,
                )

    def later_page(
        self, endpoint: Endpoint, offset: int, asked: Params | None = None, **path_values: Any
    ) -> Page:
        """A page after the first, requested twice if it is empty: it may be so by mistake."""
        page = self.page(endpoint, offset, asked, **path_values)
        return self.page(endpoint, offset, asked, **path_values) if page.is_empty else page

    def refuse_fields(self, path: str, names: Set[str]) -> None:
        """Request some fields of an endpoint no more; another may still have them."""
        self.refused_by_path[path] = self.refused_by_path[path] | names
        self.refused_fields |= dict.fromkeys(names - OF_EVERY_RECORD, True)

    @contextlib.contextmanager
    def file(self, address: str, begin: int = 0) -> Iterator[requests.Response]:
        """A file, to be read piece by piece.

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
        for _ in range(MOST_REDIRECTS):
            with self._open(url, begin) as response:
                if not response.is_redirect:
                    if response.status_code != requests.codes.partial:
                        self._raise_for(response)
                    yield response
                    return
                url = urljoin(url, response.headers["Location"])
        raise UnreachableError(f"It was sent on more than {MOST_REDIRECTS} times.")

    def _open(self, url: str, begin: int) -> requests.Response:
        if urlsplit(url).scheme not in ("http", "https"):
            raise UnreachableError("It was sent on to something that is no web address.")
        self._attempts.is_only = False
        self._keep_pace()
        self._count("requests")
        try:
            return self._http.session.get(
                url,
                headers={"Range": f"bytes={begin}-"} if begin else {},
                auth=self._rest.auth if _origin(url) == _origin(self.base_url) else None,
                stream=True,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            host = urlsplit(url).netloc
            raise UnreachableError(f"{host} gave no answer: {type(error).__name__}.") from error

    def _answer(
        self, path: str, params: Params | None, *, closely: bool, template: str = ""
    ) -> requests.Response:
        """The response to a request, which is repeated unless its endpoint failed often before.

        Raises:
            TrackerError: There is no usable response; the kind says what can be done about it.
        """
        self._attempts.is_only = self._failures[template] >= MAX_PATIENT_FAILURES
        try:
            response = self._request(path, params, closely=closely)
            self._raise_for(response)
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

    def _request(
        self, path: str, params: Params | None, *, closely: bool = False
    ) -> requests.Response:
        self._keep_pace()
        self._count("requests")
        try:
            return self._rest.get(
                path,
                params=dict(params or {}),
                hooks={"response": [partial(self._on_answer, closely=closely)]},
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise self._no_response(error) from error

    @property
    def _is_only_attempt(self) -> bool:
        """Whether the request that this thread makes is not to be repeated."""
        return getattr(self._attempts, "is_only", False)

    def _require_up(self) -> None:
        """Ask once for the list of projects, without which nothing can be read.

        Raises:
            UnreachableError: The server is down.
        """
        self._attempts.is_only = True
        try:
            self._raise_for(self._request(PROJECTS.path, None))
        except FailedRequestError as error:
            raise UnreachableError(f"{error} {self.advice}") from error
        except UnreadableError:
            pass
        self._failed_in_a_row = 0

    def _keep_pace(self) -> None:
        if not self._interval:
            return
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next_request)
            self._next_request = at + self._interval
        time.sleep(at - now)

    def _on_answer(self, response: requests.Response, *_: Any, closely: bool, **__: Any) -> None:
        """Has an answer that is no JSON asked for again; reading it closely takes its time."""
        self._count("answers")
        if response.status_code != requests.codes.ok:
            return
        if closely:
            _parsed(response.content)
        elif not _looks_like_json(response.content):
            raise _MalformedAnswerError(f"not JSON: {len(response.content)} bytes")

    def _json(self, content: bytes) -> Any:
        value, replaced = _parsed(content)
        self._count("replaced", replaced)
        return value

    def _count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self.counts[name] += number

    def _may_recover(self, response: requests.Response | None, error: BaseException | None) -> bool:
        """Whether the same request may be answered the next time; asked after every attempt.

        A server that was never there is not waited for, one that went away is.
        """
        self._count("attempts")
        if self._is_only_attempt:
            return False
        if isinstance(error, requests.exceptions.SSLError) or _never_connected(error):
            return bool(self.counts["answers"])
        if response is not None:
            status = response.status_code
            return status in (requests.codes.too_many, requests.codes.timeout) or status >= 500
        return isinstance(error, _PASSING_ERRORS)

    def _no_response(self, error: requests.RequestException) -> TrackerError:
        host = urlsplit(self.base_url).netloc
        if _never_connected(error):
            problem = f"{host} cannot be reached: no server answers there."
        elif isinstance(error, requests.exceptions.SSLError):
            problem = (
                f"{host} cannot be reached by https: it speaks http, or has no certificate that "
                f"this machine trusts ({_innermost(error)})."
            )
        else:
            attempts = 1 if self._is_only_attempt else self._runtime.request_max_attempts
            url = urlsplit((error.request and error.request.url) or "")
            problem = (
                f"{host}{url.path}: no usable response in {attempts} attempts: {_described(error)}."
            )
            return FailedRequestError(problem)
        if self.counts["answers"]:
            return FailedRequestError(problem)
        return UnreachableError(f"{problem} {self.advice}")

    @property
    def advice(self) -> str:
        """What to do where nothing can be had of the server."""
        if self._is_original:
            return f"{SHUT_DOWN}."
        return f"Is base_url right ({self.base_url})? `--check` says what the server offers."

    @property
    def _is_original(self) -> bool:
        return _host(self.base_url) == _host(TRACKER_URL)

    def _raise_for(self, response: requests.Response) -> None:
        status = response.status_code
        if status == requests.codes.ok:
            return
        problem = _problem(response)
        what = f"{response.request.path_url.split('?')[0]}: {status} {problem.text}"
        if status == 401 and self._has_succeeded:
            raise RefusedError(what)
        if status == 401 or problem.code == "invalid_authentication":
            raise InvalidTokenError(
                f"{_host(self.base_url)} does not accept the API token. Take it from your profile "
                "page there and set SOURCES__PIVOTAL_TRACKER__API_TOKEN."
                + (f" {SHUT_DOWN}." if self._is_original else "")
            )
        if problem.code == "unfound_resource":
            raise UnfoundError(what)
        if status == 403:
            raise RefusedError(what)
        if problem.code == "route_not_found":
            raise NotOfferedError(what)
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("Location", ""))
            raise FailedRequestError(
                f"{_host(self.base_url)} sends to another address ({target.scheme}://"
                f"{target.netloc}{target.path}), and the token goes to no other. If that is the "
                f"server you mean, set it as base_url. {self.advice}"
            )
        if status == 400:
            raise InvalidRequestError(what)
        if 400 <= status < 500 and status not in (requests.codes.too_many, requests.codes.timeout):
            raise PerhapsNotOfferedError(what)
        raise FailedRequestError(f"{what.rstrip('.')}.", status)


def _described(error: BaseException) -> str:
    """What a request failed with; for a body that is not JSON, what it is instead."""
    is_malformed = isinstance(error, _MalformedAnswerError)
    return str(error) if is_malformed else type(error).__name__


@dataclass(frozen=True)
class _Problem:
    code: str
    text: str


def _problem(response: requests.Response) -> _Problem:
    """What an error answer says of itself; a proxy's page says nothing that is repeated."""
    try:
        body = json.loadb(response.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _Problem("", response.reason or "")
    said = [body.get(name) for name in ("error", "general_problem", "requirement")]
    text = " ".join(str(one) for one in said if one)[:500]
    # on one line, and nothing in it that a terminal would obey
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return _Problem(str(body.get("code", "")), " ".join(printable.split()))


def _looks_like_json(content: bytes) -> bool:
    """Whether it begins and ends as JSON does: what a proxy's page or half a body seldom do."""
    text = content.removeprefix(codecs.BOM_UTF8).strip()
    return text[:1] + text[-1:] in (b"[]", b"{}")


def _parsed(content: bytes) -> tuple[Any, int]:
    """JSON, and how many characters in it were replaced because no database can hold them.

    Raises:
        _MalformedAnswerError: It is not JSON.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        value = json.loadb(content)
    except ValueError:
        # a lone surrogate or a byte that is not UTF-8 is an error to the fast parser only
        text = content.decode(errors="replace")
        try:
            value = stdlib_json.loads(text, parse_int=_as_number)
        except (ValueError, RecursionError) as error:
            raise _MalformedAnswerError(f"not JSON: {len(content)} bytes") from error
        storable, replaced = _storable(value)
        return storable, replaced + _count_invalid(content, text)
    return _storable(value) if b"\\u0000" in content else (value, 0)


def _as_number(digits: str) -> int | float:
    """A whole number as the fast parser has it: one that no column holds becomes a fraction."""
    number = int(digits)
    is_exact = -(2**63) <= number < 2**64 or abs(number) > sys.float_info.max
    return number if is_exact else float(number)


def _count_invalid(content: bytes, text: str) -> int:
    """How many characters of a text stand for bytes that are not UTF-8."""
    return text.count(_REPLACEMENT) - content.count(_REPLACEMENT.encode())


def split_list(content: bytes) -> list[bytes] | None:
    """The texts of the elements of a JSON list, which themselves need not be JSON.

    None if brackets and quotes do not match, so that the text is half a list.
    """
    elements: list[bytes] = []
    depth, begin = 0, 0
    for token in _STRUCTURE.finditer(content):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
            begin = begin or token.end()
        elif mark in (b"}", b"]"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            elements.append(content[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            is_list = content.lstrip()[:1] == b"[" and not content[begin:].strip()
            return [one for one in elements if one] if is_list else None
    return None


def _storable(value: Any) -> tuple[Any, int]:
    """A copy with NUL and lone surrogates as replacement characters, and their number."""
    if isinstance(value, str):
        return _UNSTORABLE.subn(_REPLACEMENT, value)
    if isinstance(value, list):
        items = [_storable(item) for item in value]
        return [item for item, _ in items], sum(number for _, number in items)
    if isinstance(value, dict):
        pairs = [(_storable(name), _storable(item)) for name, item in value.items()]
        number = sum(in_name + in_item for (_, in_name), (_, in_item) in pairs)
        return {name: item for (name, _), (item, _) in pairs}, number
    return value, 0


def _number(response: requests.Response, header: str) -> int | None:
    """A number in a header; None where there is none, or one that cannot be right."""
    text = response.headers.get(header, "")
    if not text.isdecimal() or len(text) > len(str(MOST_ROWS)):
        return None
    return int(text)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _checked_url(base_url: str) -> str:
    base_url = URL_ALIASES.get(base_url.strip().lower(), base_url)
    try:
        url = urlsplit(base_url.strip())
        is_address = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        # nothing is repeated that may be a secret
        told = "" if set("@?#") & set(base_url) else f", not {base_url!r}"
        raise TrackerError(f"base_url must be a web address such as {TRACKER_URL}{told}.")
    if "@" in url.netloc:
        raise TrackerError("base_url must be without a user name and a password.")
    if url.query or url.fragment:
        raise TrackerError("base_url must end with /services/v5, and have nothing behind it.")
    return base_url.strip().rstrip("/")


def _checked_token(api_token: str) -> str:
    token = api_token.strip()
    if not token or token == TOKEN_PLACEHOLDER:
        raise MissingTokenError
    if not token.isascii() or not token.isprintable() or " " in token:
        raise MissingTokenError("The API token has characters that no token has.")
    return token


def _never_connected(error: BaseException | None) -> bool:
    """Whether no connection came about: no such host, nothing listening, or nothing heard."""
    return isinstance(error, requests.ConnectTimeout) or any(
        isinstance(reason, NewConnectionError | NameResolutionError) for reason in _reasons(error)
    )


def _innermost(error: BaseException) -> BaseException:
    """What an error of requests is about in the end."""
    *_, last = _reasons(error)
    return last


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what requests and urllib3 have put into it, from the outside to the inside."""
    while error is not None:
        yield error
        reason = getattr(error, "reason", None) or next(iter(error.args), None)
        error = reason if isinstance(reason, BaseException) else None
