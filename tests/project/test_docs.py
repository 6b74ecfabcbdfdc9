"""Generated documentation is current, and the links, options and files in it exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.generate import generated_files
from pivotal_tracker.cli.options import command_line
from pivotal_tracker.references import references
from pivotal_tracker.tables import ARCHIVE_TABLES, SERVER_TABLES, Table

from ..support.command import ROOT

DOCS = ROOT / "docs"
ALL_TABLES = [table for root in SERVER_TABLES.values() for table in root.family()]
DOCUMENTS = [*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "pivotal_tracker" / "README.md"]

NO_REFERENCES = {
    "cycle_time_details__story_id",  # the row's own
    "external_id",  # of other systems
    "google_id",
    "resource_id",
    "integration_id",  # of what is not loaded
    "resource__id",  # of any kind of record
}


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """What `make docs` would write."""
    return generated_files()


def test_generated_files_are_current(generated: dict[str, str]) -> None:
    outdated = {
        name
        for name, text in generated.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    }
    assert not outdated, "missing or out of date: run `make docs`"


def test_no_generated_file_is_obsolete(generated: dict[str, str]) -> None:
    models = {f"dbt/{p.relative_to(ROOT / 'dbt')}" for p in (ROOT / "dbt/models").rglob("*.*")}
    assert models <= generated.keys(), "delete what `make docs` does not write any more"


def test_every_table_and_column_is_described() -> None:
    text = (DOCS / "tables.md").read_text()
    for table in ALL_TABLES:
        _, _, section = text.partition(f"# {table.name}\n")
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section.partition("\n#")[0], re.MULTILINE)
        assert dict(rows) == dict(table.columns)


def test_relations_name_columns_and_tables_that_exist() -> None:
    _, _, section = (DOCS / "tables.md").read_text().partition("## Relations\n")
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    columns = {
        f"{t.name}.{name}"
        for root in ARCHIVE_TABLES.values()
        for t in root.family()
        for name in t.columns
    }
    assert len(lines) > 5
    for table, text in lines:
        assert table in ARCHIVE_TABLES
        assert set(re.findall(r"`([^`]+)`", text)) <= columns


def test_every_column_with_an_id_declares_its_reference() -> None:
    found = {
        (reference.table, column)
        for root in ARCHIVE_TABLES.values()
        for reference in references(root)
        for column in reference.columns
    }

    def is_reference(table: Table, column: str) -> bool:
        is_id = column.endswith("_id") or (column == "value" and table.is_scalar_list)
        return is_id and column not in NO_REFERENCES

    missing = {
        (table.name, column)
        for table in ALL_TABLES
        for column in table.columns
        if is_reference(table, column) and (table.name, column) not in found
    }
    # a comment is on a story or on an epic, in the table that is nested in that one
    assert missing == {("stories__comments", "epic_id"), ("epics__comments", "story_id")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documented_options_targets_and_tests_exist(document: Path) -> None:
    text = document.read_text()
    options = {o for action in command_line()._actions for o in action.option_strings}
    named = re.findall(r"(?:pivotal-tracker(?!-)|pivotal_tracker_pipeline\.py)[^`\n|#&]*", text)
    for line in named:
        assert set(re.findall(r"\s(--[a-z-]+)", line)) <= options, line
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / name).exists(), name
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        tomllib.loads(block)
