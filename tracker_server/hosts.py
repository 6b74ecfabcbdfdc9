"""The `Host` headers that are accepted.

Any website can let its own name lead to 127.0.0.1 (DNS rebinding), and then read from a browser
what is served there: what a browser sends as `Host` is then the name of the website.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"


def is_accepted_host(header: str, listening_on: str) -> bool:
    """Check a `Host` header.

    Args:
        header: Its value.
        listening_on: The name or address that the server listens on, which is accepted too. If
            that is every address (`0.0.0.0` or `::`), all addresses are accepted, but no names.
    """
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", listening_on.lower()):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or is_every_address(listening_on)


def is_every_address(host: str) -> bool:
    """Check whether a host means all addresses of the machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Check whether a host can be reached from the same machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
