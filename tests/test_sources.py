"""The source supports what dlt's documentation shows, or its error says what to do instead."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.schema.exceptions import DataValidationError
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from pydantic import BaseModel

from pivotal_tracker import pivotal_tracker_source, refresh_people
from pivotal_tracker.cli.error_messages import causes_of
from tracker_server import Behaviour, TrackerServer
from tracker_server.sample import generate_workspace

from .support.truth import Tables, assert_tables_equal, comparable, served_tables, tables_in


@dataclass
class Project:
    """A dlt project in a folder: a served workspace, pipelines, and their database."""

    server: TrackerServer
    folder: Path
    connection: duckdb.DuckDBPyConnection

    def source(self, **options: Any) -> DltSource:
        token = self.server.workspace.me["api_token"]
        return pivotal_tracker_source(api_token=token, base_url=self.server.url, **options)

    def pipeline(self, name: str = "pivotal_tracker", dataset: str = "tracker") -> dlt.Pipeline:
        return dlt.pipeline(
            name,
            destination=dlt.destinations.duckdb(self.connection),
            dataset_name=dataset,
            pipelines_dir=str(self.folder / "dlt"),
        )

    def tables(self, dataset: str = "tracker") -> Tables:
        return tables_in(self.connection, dataset)

    def truth(self) -> Tables:
        return served_tables(self.server)


@contextlib.contextmanager
def project_in(folder: Path) -> Iterator[Project]:
    """Serve a workspace, and connect to the database in a folder."""
    workspace = generate_workspace(projects=2, stories=12, activity=20, seed=4)
    with (
        TrackerServer(workspace) as server,
        duckdb.connect(str(folder / "loaded.duckdb")) as connection,
        contextlib.closing(connection),
    ):
        yield Project(server, folder, connection)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project in an empty folder."""
    with project_in(tmp_path) as project:
        yield project


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that has loaded its workspace, once for all tests."""
    folder = tmp_path_factory.mktemp("first_load")
    with project_in(folder) as project:
        project.pipeline().run(project.source())
    return folder


@pytest.fixture
def loaded(first_load: Path, tmp_path: Path) -> Iterator[Project]:
    """A copy of the project that has loaded its workspace."""
    shutil.copytree(first_load, tmp_path, dirs_exist_ok=True)
    with project_in(tmp_path) as project:
        yield project


README = Path(__file__).parent.parent / "pivotal_tracker" / "README.md"


def rows_written(pipeline: dlt.Pipeline) -> int:
    """Count the rows that the last run wrote into the source's tables."""
    metrics = pipeline.last_trace.last_normalize_info.row_counts
    return sum(rows for table, rows in metrics.items() if not table.startswith("_dlt"))


def mask_story(story: dict[str, Any]) -> dict[str, Any]:
    comments = [{**comment, "text": "(hidden)"} for comment in story["comments"]]
    return {**story, "name": "(hidden)", "comments": comments}


def test_map_changes_only_records_and_their_child_rows(project: Project) -> None:
    pipeline = project.pipeline()
    for _ in range(2):
        source = project.source()
        source.stories.add_map(mask_story)
        pipeline.run(source)
    tables, truth = project.tables(), project.truth()
    assert {row["name"] for row in tables["stories"]} == {"(hidden)"}
    assert {row["text"] for row in tables["stories__comments"]} == {"(hidden)"}
    for table, column in (("stories", "name"), ("stories__comments", "text")):
        for rows in (tables[table], truth[table]):
            for row in rows:
                row.pop(column)
    assert_tables_equal(tables, truth)
    assert rows_written(pipeline) == 0


def test_second_run_with_the_same_map_writes_only_changes(project: Project) -> None:
    workspace = project.server.workspace
    pipeline = project.pipeline()
    story_id = next(iter(next(iter(workspace.projects.values())).stories))
    for _ in range(2):
        source = project.source().with_resources("stories")
        source.stories.add_map(mask_story)
        pipeline.run(source)
        changed = pipeline.last_trace.last_normalize_info.row_counts.get("stories")
        workspace.edit_story(story_id, estimate=3)
    assert changed == 1


def test_child_rows_added_by_a_map_are_replaced_with_their_record(project: Project) -> None:
    """A first load appends; dlt's own nested tables must be mergeable after it."""
    story_ids = list(next(iter(project.server.workspace.projects.values())).stories)

    def load(number: int) -> None:
        source = project.source().with_resources("stories")
        source.stories.add_map(
            lambda story: story | {"hints": [{"text": n} for n in range(number)]}
        )
        pipeline.run(source)

    pipeline = project.pipeline()
    load(3)
    for story_id in story_ids:
        project.server.workspace.edit_story(story_id, name="Edited, so that it is read again")
    load(2)
    rows = project.connection.execute(
        "SELECT s.id, count(*) FROM tracker.stories s JOIN tracker.stories__hints h "
        "ON h._dlt_parent_id = s._dlt_id GROUP BY s.id"
    ).fetchall()
    total = project.connection.execute("SELECT count(*) FROM tracker.stories__hints").fetchone()
    assert {count for story_id, count in rows if story_id in story_ids} == {2}
    assert total == (sum(count for _, count in rows),)


def test_filter_loads_matching_records_with_their_child_rows(project: Project) -> None:
    pipeline = project.pipeline()
    source = project.source().with_resources("stories")
    source.stories.add_filter(lambda story: story["story_type"] == "bug")
    pipeline.run(source)
    tables, truth = project.tables(), project.truth()
    bugs = {row["id"] for row in truth["stories"] if row["story_type"] == "bug"}
    assert bugs
    for name in [name for name in tables if name.split("__")[0] == "stories"]:
        column = "id" if name == "stories" else "story_id"
        expected = [row for row in truth.get(name, []) if row[column] in bugs]
        assert comparable(tables[name]) == comparable(expected), name


def test_record_that_no_longer_matches_the_filter_keeps_its_row(project: Project) -> None:
    workspace, pipeline = project.server.workspace, project.pipeline()

    def load() -> None:
        source = project.source().with_resources("stories")
        source.stories.add_filter(lambda story: story["story_type"] == "bug")
        pipeline.run(source)

    load()
    bug = next(row["id"] for row in project.tables()["stories"])
    workspace.edit_story(bug, story_type="chore", estimate=None)
    load()
    rows = {row["id"]: row["story_type"] for row in project.tables()["stories"]}
    assert rows[bug] == "bug"
    workspace.delete_stories(bug)
    load()
    assert bug not in {row["id"] for row in project.tables()["stories"]}


def test_records_may_be_yielded_one_by_one(project: Project) -> None:
    pipeline = project.pipeline()
    for _ in range(2):
        source = project.source()
        source.stories.add_yield_map(lambda story: iter([story]))
        source.activity.add_yield_map(lambda activity: iter([activity]))
        pipeline.run(source)
    assert_tables_equal(project.tables(), project.truth())
    assert rows_written(pipeline) == 0


def test_single_resource_can_be_loaded(project: Project) -> None:
    project.pipeline().run(project.source().stories)
    truth = project.truth()
    expected = {name: rows for name, rows in truth.items() if name.split("__")[0] == "stories"}
    assert_tables_equal(project.tables(), expected)


def test_resources_can_be_iterated_without_a_pipeline(project: Project) -> None:
    labels = list(project.source().labels)
    assert {label["id"] for label in labels} == {r["id"] for r in project.truth()["labels"]}
    assert {type(label) for label in labels} == {dict}


def test_resources_iterated_after_a_load_are_complete(loaded: Project) -> None:
    tables = loaded.tables()
    loaded.pipeline().activate()
    for name in ("labels", "stories", "accounts"):
        records = list(loaded.source().resources[name])
        assert len(records) == len(tables[name]), name


def test_projects_removed_by_a_filter_are_not_changed(loaded: Project) -> None:
    workspace = loaded.server.workspace
    first, second = workspace.projects
    workspace.edit_story(next(iter(workspace.projects[second].stories)), name="Not seen")
    before = loaded.tables()
    source = loaded.source()
    source.project_list.add_filter(lambda project: project["id"] == first)
    loaded.pipeline().run(source)
    after = loaded.tables()
    assert_tables_equal(after, before)
    assert {row["_not_seen_since"] for row in after["projects"]} == {None}
    assert not [row for row in after["deleted_records"] if row["change"] is None]


def test_filter_that_removes_all_projects_loads_no_stories(project: Project) -> None:
    source = project.source()
    source.project_list.add_filter(lambda one: False)
    project.pipeline().run(source)
    assert "stories" not in project.tables()


def test_projects_may_be_yielded_one_by_one(project: Project) -> None:
    source = project.source()
    source.project_list.add_yield_map(lambda one: iter([one]))
    project.pipeline().run(source)
    assert_tables_equal(project.tables(), project.truth())


def test_add_limit_still_loads_all_projects(project: Project) -> None:
    project.pipeline().run(project.source().add_limit(1).with_resources("labels", "people"))
    assert comparable(project.tables()["labels"]) == comparable(project.truth()["labels"])


def test_resources_can_be_parallelized(project: Project) -> None:
    workspace, pipeline = project.server.workspace, project.pipeline()
    for _ in range(2):
        pipeline.run(project.source().parallelize())
        assert_tables_equal(project.tables(), project.truth())
        first = next(iter(workspace.projects.values()))
        workspace.edit_story(next(iter(first.stories)), name="Edited")


def test_other_sources_can_share_the_pipeline(project: Project) -> None:
    @dlt.source(name="others")
    def others() -> Any:
        return dlt.resource([{"id": 1}], name="things")

    pipeline = project.pipeline()
    for _ in range(2):
        pipeline.run([others(), project.source()])
    tables = project.tables()
    assert {row["id"] for row in tables.pop("things")} == {1}
    assert_tables_equal(tables, project.truth())


def test_same_source_twice_in_one_run_loads_rows_once(project: Project) -> None:
    project.pipeline().run([project.source(), project.source()])
    assert_tables_equal(project.tables(), project.truth())


def test_replace_reads_everything_and_replaces_child_tables(loaded: Project) -> None:
    loaded.connection.execute("UPDATE tracker.stories SET name = 'wrong'")
    loaded.connection.execute("UPDATE tracker.stories__tasks SET description = 'wrong'")
    stories = loaded.source().with_resources("stories")
    loaded.pipeline().run(stories, write_disposition="replace")
    assert_tables_equal(loaded.tables(), loaded.truth())


def test_append_is_rejected(project: Project) -> None:
    with pytest.raises(PipelineStepFailed, match="would load changed records twice"):
        project.pipeline().run(project.source(), write_disposition="append")


def test_table_name_hint_renames_child_tables(project: Project) -> None:
    pipeline = project.pipeline()
    for _ in range(2):
        source = project.source().with_resources("stories")
        source.stories.apply_hints(table_name="tickets")
        pipeline.run(source)
    tables, truth = project.tables(), project.truth()
    assert comparable(tables["tickets"]) == comparable(truth["stories"])
    assert comparable(tables["tickets__comments"]) == comparable(truth["stories__comments"])
    assert not [name for name in tables if name.startswith("stories")]
    assert rows_written(pipeline) == 0


def test_lists_below_max_table_nesting_become_json(project: Project) -> None:
    source = project.source().with_resources("stories")
    source.stories.max_table_nesting = 1
    project.pipeline().run(source)
    tables = project.tables()
    assert "stories__comments__file_attachments" not in tables
    assert {"stories__comments", "stories__labels"} <= tables.keys()
    column = {row["file_attachments"] for row in tables["stories__comments"]}
    assert any(value and value.startswith("[") for value in column)
    assert comparable(tables["stories"]) == comparable(project.truth()["stories"])


@pytest.mark.parametrize("file_format", ["jsonl", "insert_values"])
def test_other_file_formats_give_the_same_tables(file_format: Any, project: Project) -> None:
    pipeline = project.pipeline()
    pipeline.run(project.source(), loader_file_format=file_format)
    packages = pipeline.get_load_package_info(pipeline.list_completed_load_packages()[-1])
    formats = {
        job.job_file_info.file_format
        for job in packages.jobs["completed_jobs"]
        if job.job_file_info.table_name == "stories"
    }
    assert file_format in formats
    tables, truth = project.tables(), project.truth()
    if file_format == "jsonl":
        # DuckDB reads objects in JSONL as structs: it adds nulls and writes times its own way
        for row in (*tables["activity__changes"], *truth["activity__changes"]):
            row |= dict.fromkeys(("new_values", "original_values"))
    assert_tables_equal(tables, truth)


def load_undeclared_attribute(project: Project, contract: Any) -> dlt.Pipeline:
    """Load, add an undeclared attribute to a story, and load with a schema contract."""
    pipeline = project.pipeline()
    pipeline.run(project.source().with_resources("stories", "labels"))
    workspace = project.server.workspace
    first = next(iter(workspace.projects.values()))
    story = next(story for story in first.stories.values() if story["tasks"])
    workspace.edit_story(story["id"], name="Edited", mood="good")
    pipeline.run(project.source().with_resources("stories", "labels"), schema_contract=contract)
    return pipeline


def test_frozen_contract_fails_only_its_own_run(project: Project) -> None:
    with pytest.raises(PipelineStepFailed, match="mood") as raised:
        load_undeclared_attribute(project, {"columns": "freeze"})
    assert any(isinstance(cause, DataValidationError) for cause in causes_of(raised.value))
    pipeline = project.pipeline()
    assert not pipeline.has_pending_data
    pipeline.run(project.source().with_resources("stories", "labels"))
    names = {row["mood"] for row in project.tables()["stories"]}
    assert names == {None, "good"}


def test_contract_discards_values(project: Project) -> None:
    load_undeclared_attribute(project, {"columns": "discard_value"})
    stories = project.tables()["stories"]
    assert "mood" not in stories[0]
    assert "Edited" in {row["name"] for row in stories}


def test_contract_discards_records_with_their_child_rows(project: Project) -> None:
    before = None
    pipeline = project.pipeline()
    pipeline.run(project.source().with_resources("stories"))
    before = project.tables()
    load_undeclared_attribute(project, {"columns": "discard_row"})
    after = project.tables()
    assert "mood" not in after["stories"][0]
    assert_tables_equal({name: after[name] for name in before}, before)


def test_pydantic_model_as_columns_is_rejected(project: Project) -> None:
    class Story(BaseModel):
        id: int

    source = project.source()
    source.stories.apply_hints(columns=Story)
    with pytest.raises(PipelineStepFailed, match="add_map"):
        project.pipeline().run(source)


def test_people_are_complete_after_one_run(loaded: Project) -> None:
    assert comparable(loaded.tables()["people"]) == comparable(loaded.truth()["people"])


def test_people_can_be_masked(project: Project) -> None:
    source = project.source().with_resources("project_memberships", "people")
    source.people.add_map(lambda person: {**person, "email": None})
    project.pipeline().run(source)
    assert {row["email"] for row in project.tables()["people"]} == {None}


def test_first_load_and_full_refresh_do_not_warn_of_hard_deletes(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.pipeline().run(project.source())
    project.pipeline().run(project.source(full_refresh=True))
    assert not [record for record in caplog.records if "hard_delete" in record.getMessage()]
    assert_tables_equal(project.tables(), project.truth())


def test_map_that_returns_no_record_fails_with_its_resource(project: Project) -> None:
    source = project.source()
    source.stories.add_map(lambda story: story["name"])
    with pytest.raises(PipelineStepFailed, match="stories returned a str"):
        project.pipeline().run(source)


def test_snippets_of_the_readme_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    token = project.server.workspace.me["api_token"]
    monkeypatch.setenv("SOURCES__PIVOTAL_TRACKER__BASE_URL", project.server.url)
    monkeypatch.setenv("SOURCES__PIVOTAL_TRACKER__API_TOKEN", token)
    snippets = re.findall("```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(snippets) == 6
    names = {"pipeline": project.pipeline(), "pivotal_tracker_source": pivotal_tracker_source}
    masked, filtered, sampled, read, contract = snippets[1:]
    exec(masked, names)  # noqa: S102 - the README is ours
    assert {row["description"] for row in project.tables()["stories"]} == {"(hidden)"}
    for snippet in (filtered, sampled, read):
        exec(snippet, names)  # noqa: S102
    assert len(names["labels"]) == len(project.truth()["labels"])
    workspace = project.server.workspace
    story_id = next(iter(next(iter(workspace.projects.values())).stories))
    workspace.edit_story(story_id, name="Edited", mood="good")
    exec(contract, names)  # noqa: S102
    stories = project.tables()["stories"]
    assert "mood" not in stories[0]
    assert "Edited" in {row["name"] for row in stories}


def custom_metrics(pipeline: dlt.Pipeline) -> dict[str, dict[str, Any]]:
    """The custom metrics of each resource in the trace of the last run."""
    (steps,) = pipeline.last_trace.last_extract_info.metrics.values()
    return {
        name: metrics.custom_metrics
        for step in steps
        for name, metrics in step["resource_metrics"].items()
    }


def test_a_trace_has_the_metrics_of_its_run_alone(project: Project) -> None:
    source, pipeline = project.source().with_resources("labels"), project.pipeline()
    project.server.behaviour = Behaviour(forbidden_endpoints={"labels"})
    pipeline.run(source)
    assert custom_metrics(pipeline)["labels"]["skipped"].keys() == {
        str(project_id) for project_id in project.server.workspace.projects
    }
    project.server.behaviour = Behaviour()
    pipeline.run(source)
    metrics = custom_metrics(pipeline)
    assert "skipped" not in metrics["labels"]
    assert metrics["labels"]["rows"]["new"] == len(project.truth()["labels"])


def test_the_metrics_in_a_trace_are_copies_of_plain_values(project: Project) -> None:
    pipeline = project.pipeline()
    pipeline.run(project.source())
    metrics = custom_metrics(pipeline)
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["stories"]["counts"]["requests"] == len(project.server.requests)
    assert set(map(type, values_in(metrics))) <= {dict, list, str, int, bool, type(None)}


def values_in(value: Any) -> Iterator[Any]:
    """A value of JSON, and all those in it."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from values_in(one)


def test_people_of_shards_are_written_after_the_load(project: Project) -> None:
    people_in = ("stories", "activity", "project_memberships", "account_memberships", "people")
    for number in (1, 2):
        pipeline = project.pipeline(f"shard_{number}")
        pipeline.run(project.source(shard=f"{number}/2").with_resources(*people_in))
        assert not sum(custom_metrics(pipeline)["people"]["written"].values())
        refresh_people(pipeline)
    loaded, expected = project.tables()["people"], project.truth()["people"]
    assert_tables_equal({"people": loaded}, {"people": expected})
