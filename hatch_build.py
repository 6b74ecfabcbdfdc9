"""Adds what depends on the address of the repository: the project's URLs and the README's links.

The release workflow sets REPOSITORY_URL. Without it there are no URLs, and the links stay relative.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^]]*)\]\((?!https?://|#)(?P<path>[^)]+)\)")


class RepositoryLinks(MetadataHookInterface):
    """Set the metadata `urls` and `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set them, unless they come from an sdist."""
        if "readme" in metadata:
            return
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")
        if repository:
            metadata["urls"] = {
                "Homepage": repository,
                "Documentation": f"{repository}/tree/main/docs",
                "Changelog": f"{repository}/blob/main/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
            readme = _with_absolute_links(readme, repository, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}


def _with_absolute_links(readme: str, repository: str, tag: str) -> str:
    """Make the relative links absolute: PyPI shows the README alone."""

    def replace(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({repository}/{kind}/{tag}/{link['path']})"

    return _RELATIVE_LINK.sub(replace, readme)
