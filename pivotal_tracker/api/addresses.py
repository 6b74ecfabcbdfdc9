"""The base URL of a server: validate it, show it without secrets, compare it."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import TrackerError
from ..redaction import redact
from ..settings import SHUTDOWN_NOTICE, TRACKER_URL, URL_ALIASES


class ServerAddress:
    """The base URL of a server.

    Attributes:
        url: Up to and including `/services/v5`, without a slash at the end.

    Args:
        base_url: As a user has written it, or `litetracker`.

    Raises:
        TrackerError: It is not a web address, or contains what may be a secret.
    """

    def __init__(self, base_url: str) -> None:
        self.url = _validate_base_url(base_url)

    @property
    def host(self) -> str:
        """The name of the host."""
        return urlsplit(self.url).hostname or ""

    @property
    def netloc(self) -> str:
        """The host and its port."""
        return urlsplit(self.url).netloc

    @property
    def is_original(self) -> bool:
        """Whether this is Pivotal Tracker itself, which has shut down."""
        return self.host == urlsplit(TRACKER_URL).hostname

    @property
    def hint(self) -> str:
        """What to do if the server does not answer as expected."""
        if self.is_original:
            return f"{SHUTDOWN_NOTICE}."
        return f"Is base_url right ({self.url})? `--check` says what the server offers."

    def is_origin_of(self, url: str) -> bool:
        """Check whether a URL has the same scheme, host and port."""
        own, other = urlsplit(self.url), urlsplit(url)
        return (own.scheme, own.netloc) == (other.scheme, other.netloc)


def shown_address(url: str) -> str:
    """Return a URL without secrets and control characters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no web address"
    text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return printable(redact(text)[:500])


def printable(text: str) -> str:
    """Return a text on one line, without control characters."""
    return " ".join("".join(x if x.isprintable() else " " for x in text).split())


def _validate_base_url(base_url: str) -> str:
    base_url = URL_ALIASES.get(base_url.strip().lower(), base_url)
    try:
        url = urlsplit(base_url.strip())
        is_address = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        # do not show what may be a secret
        shown = "" if set("@?#") & set(base_url) else f", not {base_url!r}"
        raise TrackerError(f"base_url must be a web address such as {TRACKER_URL}{shown}.")
    if "@" in url.netloc:
        raise TrackerError("base_url must be without a user name and a password.")
    if url.query or url.fragment:
        raise TrackerError("base_url must end with /services/v5, and have nothing behind it.")
    return base_url.strip().rstrip("/")
