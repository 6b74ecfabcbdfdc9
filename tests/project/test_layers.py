"""Imports point downward: from the command to the sources, to what they use, to the tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.command import ROOT

PACKAGE = "pivotal_tracker"
BASE = {
    "activity",
    "descriptions",
    "errors",
    "limits",
    "records",
    "redaction",
    "references",
    "settings",
    "suggestions",
    "tables",
}
MAY_IMPORT = {
    "cli": {"sources", "extract", "archive", "load", "api", "views", *BASE},
    "sources": {"extract", "archive", "load", "api", *BASE},
    "extract": {"load", "api", *BASE},
    "archive": {"load", *BASE},
    "load": BASE,
    "api": BASE,
    "views": BASE,
    **dict.fromkeys(BASE, BASE),
    "__init__": {"sources", "extract", "load", "api", "cli", *BASE},
}
"""What the modules of each part may import beside those of their own part."""

ENTRY = {("cli", "tracker_server")}
"""The command serves the sample workspace."""


def imported(path: Path) -> Iterator[str]:
    """The modules of this project that a module imports, with their dotted names."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [start, node.module]))
            # `from . import tables` imports a module, `from .tables import Table` does not
            yield from ([base] if node.module else [f"{base}.{a.name}" for a in node.names])


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", sorted((ROOT / PACKAGE).rglob("*.py")), ids=str)
def test_a_module_imports_no_layer_above_its_own(path: Path) -> None:
    part = part_of(path)
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            used = rest.split(".")[0]
            if (part == "cli" and not used) or used == "__version__":
                continue
            assert used == part or used in MAY_IMPORT[part], f"{path} imports {name}"
        else:
            is_above = top.startswith("tracker_") or top == "tests"
            assert not is_above or (part, top) in ENTRY, f"{path} imports {name}"
