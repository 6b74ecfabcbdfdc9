"""Replace secrets in texts that people and programs read.

Code that reads a secret adds it here; code that writes a text redacts it first.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

REDACTED = "***"

_MIN_LENGTH = 4
"""Shorter secrets are often parts of words: they are redacted in URLs only."""

_URL_CREDENTIALS = re.compile(r"(?<=//)[^\s'\"/:@]*:[^\s'\"]+@")
"""A user and a password in a URL, also with an `@` in the password."""

_CONNECTION = re.compile(
    r"\s*(?:[\w+.-]*:?//)?(?P<user>[^:@/\s]*)(?::(?P<password>.+))?@[^@]*", re.DOTALL
)

_secrets: set[str] = set()


def add_secret(secret: str) -> None:
    """Redact a text from now on, as it is and as it is written in URLs and JSON."""
    for text in (secret.strip(), *secret.split("\n")):
        variants = {text, quote(text, safe=""), unquote(text), text.replace("\\", "\\\\")}
        _secrets.update(variant for variant in variants if len(variant) >= _MIN_LENGTH)


def add_connection_string(text: str, *, is_user_secret: bool = False) -> None:
    """Redact the password of a connection string from now on.

    Args:
        text: For example `postgresql://user:password@host/database`; it may be malformed.
        is_user_secret: Whether a user without a password is a secret, as in Sentry's DSN.
    """
    found = _CONNECTION.fullmatch(text)
    if not found:
        return
    user, password = found["user"], found["password"]
    # a password equal to the user name protects nothing, and may be a word of any message
    if password is not None and unquote(password) == unquote(user):
        return
    if password is None and not is_user_secret:
        return
    secret = user if password is None else password
    add_secret(secret)
    # a parser that splits at another `@` or `/` shows a part of it
    for part in re.split("[@/:?#]", secret):
        add_secret(part)


def redact(text: str) -> str:
    """Replace all known secrets in a text, and the credentials in its URLs."""
    # the longest first, as one secret may be a part of another
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _URL_CREDENTIALS.sub(f"{REDACTED}@", text)


def redact_values(value: Any) -> Any:
    """Copy lists and dicts, at any depth, with all their texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact_values(name): redact_values(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(inner) for inner in value]
    return value
