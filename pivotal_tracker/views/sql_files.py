"""Read the templates of the views: one `.sql` file each, with a query in DuckDB's dialect.

A file whose name begins with `_` is a helper. It is no view of its own: its query becomes part of
the views that read it. Tables, views and helpers are named after `FROM` or `JOIN`, without quotes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

_GENERATION = "1"
"""Change this when the SQL around the queries, or its translation, changes."""

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_CTE = re.compile(r"^(?:WITH (?:RECURSIVE )?)?(\w+) AS \($", re.MULTILINE)
# `extract(EPOCH FROM …)` names no table
_RELATION = re.compile(r"(?P<keyword>(?<!EPOCH )\bFROM|\bJOIN) (?P<name>\w+)")


@dataclass(frozen=True)
class Template:
    """A query of one file.

    Attributes:
        name: The file's name without `.sql`, which is the view's.
        sql: The query, without comments.
        reads: The tables, views and helpers in it.
        fingerprint: Changes with the query, and with the views and helpers that it reads.
    """

    name: str
    sql: str
    reads: frozenset[str]
    fingerprint: str

    @property
    def is_helper(self) -> bool:
        """Whether it is only part of other views."""
        return self.name.startswith("_")

    @property
    def stamp(self) -> str:
        """The name that identifies this version of the view in its SQL in the database."""
        return f"pivotal_tracker_{self.fingerprint}"

    def rewrite(self, rename: Callable[[str], str]) -> str:
        """Return the query with other names for the tables, views and helpers that it reads."""

        def replace(match: re.Match[str]) -> str:
            name = match["name"]
            return f"{match['keyword']} {rename(name) if name in self.reads else name}"

        return _RELATION.sub(replace, self.sql)


@cache
def templates() -> dict[str, Template]:
    """Return all templates by name, each after those that it reads."""
    folder = Path(__file__).parent
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}
    return parse(texts)


def parse(texts: dict[str, str]) -> dict[str, Template]:
    """Make templates from the texts of files, by name."""
    queries = {name: _COMMENT.sub("", text).strip() for name, text in texts.items()}
    reads = {name: _reads(query) for name, query in queries.items()}
    graph = {name: sorted(reads[name] & texts.keys()) for name in sorted(texts)}
    made: dict[str, Template] = {}
    for name in TopologicalSorter(graph).static_order():
        parts = [_GENERATION, queries[name], *(made[other].fingerprint for other in graph[name])]
        fingerprint = hashlib.blake2b("\0".join(parts).encode(), digest_size=6).hexdigest()
        made[name] = Template(name, queries[name], reads[name], fingerprint)
    return made


def _reads(query: str) -> frozenset[str]:
    own = set(_CTE.findall(query))
    return frozenset(match["name"] for match in _RELATION.finditer(query)) - own


def inlined(template: Template, is_inlined: Callable[[Template], bool]) -> list[Template]:
    """Return the templates whose queries become part of a view, each after those that it reads."""
    parts = {template.name: template}
    for other in reversed(templates().values()):
        if is_inlined(other) and any(other.name in reader.reads for reader in parts.values()):
            parts[other.name] = other
    del parts[template.name]
    return list(reversed(parts.values()))


def relations(template: Template, is_inlined: Callable[[Template], bool]) -> frozenset[str]:
    """Return the tables and views that a view reads, if some templates become part of it."""
    parts = inlined(template, is_inlined)
    reads = template.reads.union(*(part.reads for part in parts))
    return reads - {part.name for part in parts}
