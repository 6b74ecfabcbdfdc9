"""dlt still has the private attributes that this project uses."""

from __future__ import annotations

import ast
from pathlib import Path

import dlt
import pytest
from dlt.common.storages import PackageStorage

from pivotal_tracker.load import dlt_internals

from ..support.command import ROOT


@pytest.fixture
def pipeline(tmp_path: Path) -> dlt.Pipeline:
    made = dlt.pipeline(
        "internals",
        destination=dlt.destinations.duckdb(str(tmp_path / "internals.duckdb")),
        pipelines_dir=str(tmp_path),
    )
    made.extract([{"id": 1}], table_name="things")
    return made


def test_package_storages_list_the_packages_of_their_step(pipeline: dlt.Pipeline) -> None:
    extracted = dlt_internals.extracted_packages(pipeline)
    assert isinstance(extracted, PackageStorage)
    assert list(extracted.list_packages()) == pipeline.list_extracted_load_packages()
    pipeline.normalize()
    normalized = dlt_internals.normalized_packages(pipeline)
    assert list(normalized.list_packages()) == pipeline.list_normalized_load_packages()


def test_state_hash_changes_with_the_state(pipeline: dlt.Pipeline) -> None:
    before = dlt_internals.state_hash(pipeline.state)
    with pipeline.managed_state() as state:
        state["sources"] = {"things": {"cursor": 1}}
    assert before
    assert dlt_internals.state_hash(pipeline.state) not in (None, before)


def test_destination_client_has_the_given_schema(pipeline: dlt.Pipeline) -> None:
    with dlt_internals.destination_client(pipeline, dlt.Schema("other")) as client:
        assert client.schema.name == "other"


def test_private_attributes_of_dlt_are_used_in_one_module() -> None:
    for path in sorted((ROOT / "pivotal_tracker").rglob("*.py")):
        if path.name == "dlt_internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_get_"):
                owner = ast.unparse(node.value)
                assert owner in ("self", "cls"), f"{path}: {owner}.{node.attr}"
