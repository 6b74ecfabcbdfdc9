"""Turn links to files of the repository, which the site does not have, into links to GitHub."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\(\.\./(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Replace links such as `../examples`; without a repository's address only the text remains."""
    repository = (config["repo_url"] or "").rstrip("/")

    def replace(link: re.Match[str]) -> str:
        if not repository:
            return link["text"]
        kind = "blob" if PurePosixPath(link["path"]).suffix else "tree"
        return f"[{link['text']}]({repository}/{kind}/main/{link['path']}{link['anchor'] or ''})"

    return _LINK.sub(replace, markdown)
