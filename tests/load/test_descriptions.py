"""Descriptions and references: in dlt's schema, in its diagrams, and as comments in databases."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb

from pivotal_tracker.descriptions import COLUMNS, OF_TABLES, TABLES, column_description
from pivotal_tracker.references import references
from pivotal_tracker.tables import ARCHIVE_TABLES, SERVER_TABLES, STORIES, Table
from tracker_server import TrackerServer

from ..support.command import Command

SCHEMA = """
import dlt
pipeline = dlt.attach("pivotal_tracker")
print(getattr(pipeline.default_schema, sys.argv[1] if len(sys.argv) > 1 else "{}")())
"""


def members(roots: dict[str, Table]) -> Iterator[Table]:
    for root in roots.values():
        yield from root.family()


def described_columns(roots: dict[str, Table]) -> dict[tuple[str, str], str]:
    return {
        (table.name, column): column_description(table.name, column)
        for table in members(roots)
        for column in table.columns
    }


def diagram(command: Command, method: str) -> str:
    """Return a diagram of the pipeline's schema, made by a method of dlt's schema."""
    result = command.python(SCHEMA.format(method))
    assert result.returncode == 0, result.stderr
    return result.stdout


def comments(command: Command) -> dict[tuple[str, str], str | None]:
    with duckdb.connect(str(command.database), read_only=True) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() "
            "WHERE schema_name = 'tracker' AND NOT starts_with(column_name, '_dlt') "
            "AND NOT starts_with(table_name, '_dlt') AND column_name <> '_deleted'"
        ).fetchall()
    return {(table, column): comment for table, column, comment in rows}


def schema_versions(command: Command) -> list[int]:
    with duckdb.connect(str(command.database), read_only=True) as connection:
        query = "SELECT version FROM tracker._dlt_version ORDER BY version"
        return [version for (version,) in connection.execute(query).fetchall()]


def test_descriptions_match_existing_tables_and_columns() -> None:
    tables = {table.name: table for table in members(ARCHIVE_TABLES)}
    assert TABLES.keys() == tables.keys()
    texts = described_columns(ARCHIVE_TABLES)
    own = {(table, column) for table, columns in OF_TABLES.items() for column in columns}
    assert own <= texts.keys()
    assert COLUMNS.keys() == {column for place, column in texts.keys() - own if place}
    for text in (*TABLES.values(), *texts.values()):
        assert text.endswith(".")
        assert '"' not in text


def test_diagrams_show_descriptions_and_references(loaded: Command) -> None:
    mermaid = diagram(loaded, "to_mermaid")
    for (_, column), text in described_columns(SERVER_TABLES).items():
        assert f' {column} "{text}"' in mermaid or f' {column} PK "{text}"' in mermaid
    for root in SERVER_TABLES.values():
        for reference in references(root):
            left, right = reference.table, reference.referenced_table
            (edge,) = [
                line
                for line in mermaid.splitlines()
                if line.split()[:1] == [left] and f" {right} :" in line
            ]
            assert set(reference.columns) <= set(edge.partition('"')[2].rstrip('"').split(", "))
            assert ("||" in edge) == reference.is_parent
    assert 'Ref {\n    "stories"."requested_by_id" <> "people"."id"\n}' in diagram(
        loaded, "to_dbml"
    )


def test_duckdb_comments_are_written_and_later_only_changed_ones(
    command: Command, server: TrackerServer
) -> None:
    assert command("--resource", "labels", "epics").returncode == 0
    texts = described_columns(SERVER_TABLES)
    found = comments(command)
    assert found == {place: texts[place] for place in found}
    with duckdb.connect(str(command.database)) as connection:
        connection.execute("COMMENT ON COLUMN tracker.labels.name IS 'an older text'")
        connection.execute("COMMENT ON TABLE tracker.epics IS NULL")
    project = next(iter(server.workspace.projects.values()))
    server.workspace.rename_label(next(iter(project.labels)), "renamed")
    result = command("--resource", "labels", "epics", "--verbose")
    assert result.returncode == 0, result.stderr
    assert "2 comments" in result.stderr
    assert comments(command) == found


def test_descriptions_add_only_one_schema_version(command: Command, server: TrackerServer) -> None:
    undescribed = (
        "import pivotal_tracker.load.to_tables as steps, pivotal_tracker.cli.main as command\n"
        "steps.describe_tables = lambda *_: None\n"
        "sys.exit(command.main(['--resource', 'labels', '--no-views']))"
    )
    result = command.python(undescribed)
    assert result.returncode == 0, result.stderr
    assert set(comments(command).values()) == {None}
    (version,) = schema_versions(command)
    project = next(iter(server.workspace.projects.values()))
    for name in ("first", "second"):
        server.workspace.rename_label(next(iter(project.labels)), name)
        assert command("--resource", "labels").returncode == 0
        assert schema_versions(command) == [version, version + 1]
        assert comments(command)["labels", "name"] == column_description("labels", "name")


def test_renamed_table_is_described(command: Command, server: TrackerServer) -> None:
    script = """
import dlt, json
from pivotal_tracker import pivotal_tracker_source
source = pivotal_tracker_source().with_resources("stories", "labels")
source.stories.apply_hints(table_name="tickets")
source.labels.apply_hints(columns={"name": {"description": "What it is called."}})
pipeline = dlt.pipeline("renamed", destination="duckdb", dataset_name="tracker")
pipeline.run(source)
tables = pipeline.default_schema.tables
references = {name: table.get("references", []) for name, table in tables.items()}
print(json.dumps({
    "description": tables["tickets"]["description"],
    "column": tables["tickets__labels"]["columns"]["story_id"]["description"],
    "of_user": tables["labels"]["columns"]["name"]["description"],
    "references": {n: [r["referenced_table"] for r in found] for n, found in references.items()},
}))
"""
    result = command.python(script)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["description"] == TABLES[STORIES.name]
    assert found["column"] == column_description("stories__labels", "story_id")
    assert found["of_user"] == "What it is called."
    # only tables that are loaded are referred to
    assert found["references"]["tickets__labels"] == ["tickets", "labels"]
    assert found["references"]["tickets"] == []
