"""What the documents say is so: generated ones are current, and nothing points nowhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.generate import FOLDER, REFERENCES, VALUES, documents
from pivotal_tracker.cli.options import command_line
from pivotal_tracker.tables import Table

from ..extract.test_load import ALL_TABLES
from ..support.command import ROOT

DOCUMENTS = [*FOLDER.glob("*.md"), *ROOT.glob("*.md"), ROOT / "pivotal_tracker" / "README.md"]

OWN_OR_FOREIGN = {
    "story_id",  # drawn as the nesting that it is
    "epic_id",
    "comment_id",
    "release_id",
    "workspace_id",
    "cycle_time_details__story_id",
    "review_type__project_id",
    "label__project_id",
    "external_id",  # of other systems
    "google_id",
    "resource_id",
    "integration_id",  # of what is not loaded
    "project__id",
    "resource__id",  # of any kind of record
    "review_type__id",
    "same_as_id",  # within the table
}


@pytest.mark.parametrize("name", ["tables.md", "options.md"])
def test_what_is_generated_is_current(name: str) -> None:
    assert (FOLDER / name).read_text() == documents()[name], "run `make docs`"


def test_every_table_and_column_is_described() -> None:
    text = (FOLDER / "tables.md").read_text()
    for table in ALL_TABLES:
        _, _, section = text.partition(f"# {table.name}\n")
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section.partition("\n#")[0], re.MULTILINE)
        assert dict(rows) == dict(table.columns)


def test_the_diagram_joins_only_tables_that_exist() -> None:
    text = (FOLDER / "tables.md").read_text()
    _, _, diagram = text.partition("erDiagram\n")
    names = {table.name for table in ALL_TABLES} | {
        f"{line.split()[-1]}" for line in re.findall(r"^##+ .*", text, re.MULTILINE)
    }
    lines = diagram.partition("```")[0].splitlines()
    assert len(lines) > 50
    for line in lines:
        found = re.fullmatch(r'    (\w+)(?: \|\|--o\{ (\w+) : (?:has|"[\w ]+"))?', line)
        assert found, line
        assert {found[1], found[2] or found[1]} <= names


def test_the_diagram_leaves_no_reference_out() -> None:
    def is_reference(table: Table, column: str) -> bool:
        own = set(table.key) | {"version"}
        return column.endswith("_id") and column not in own and column not in OWN_OR_FOREIGN

    missing = {
        (table.name, column)
        for table in ALL_TABLES
        for column in table.columns
        if is_reference(table, column) and column not in REFERENCES
    }
    assert not missing
    assert {t.name.rpartition("__")[2] for t in ALL_TABLES if t.of_values} == set(VALUES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_targets_and_tests_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    options = {o for action in command_line()._actions for o in action.option_strings}
    named = re.findall(r"(?:pivotal-tracker|pivotal_tracker_pipeline\.py)[^`\n|#&]*", text)
    for line in named:
        assert set(re.findall(r"\s(--[a-z-]+)", line)) <= options, line
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / name).exists(), name
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        tomllib.loads(block)
