"""Imports point downward, and no test module imports another one."""

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
"""The other parts that the modules of each part may import."""

ENTRY = {("cli", "tracker_server")}
"""Exceptions: the command serves the sample workspace."""


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the dotted names of the project's modules that a module imports."""
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
    """Return the part of the package that a file belongs to."""
    return path.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize(
    "path", sorted((ROOT / PACKAGE).rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_modules_import_only_their_own_and_lower_layers(path: Path) -> None:
    part = part_of(path)
    for name in imported_modules(path):
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            used = rest.split(".")[0]
            if (part == "cli" and not used) or used == "__version__":
                continue
            assert used == part or used in MAY_IMPORT[part], f"{path} imports {name}"
        else:
            is_above = top.startswith("tracker_") or top == "tests"
            assert not is_above or (part, top) in ENTRY, f"{path} imports {name}"


def test_test_modules_are_not_imported() -> None:
    imports = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in imported_modules(path)
        if any(part.startswith("test_") for part in name.split("."))
    ]
    assert not imports, "move what tests share to tests/support"
