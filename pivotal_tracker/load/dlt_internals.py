"""What this project uses of dlt beyond its public API: each with its reason, and nothing elsewhere.

`tests/load/test_dlt_internals.py` fails when dlt changes one of them.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, cast

import dlt
from dlt.common.schema import Schema
from dlt.common.storages import PackageStorage


def extracted_packages(pipeline: dlt.Pipeline) -> PackageStorage:
    """Return the storage of extracted load packages.

    dlt lists such packages publicly, but deletes only all pending ones. A run that is killed
    between two steps leaves one in two places, which makes the next run fail.
    """
    return pipeline._get_normalize_storage().extracted_packages


def normalized_packages(pipeline: dlt.Pipeline) -> PackageStorage:
    """Return the storage of normalized load packages.

    Before a package is loaded again, its schema is changed so that rows that are already in the
    destination are merged. dlt has no public way to change the schema of one package.
    """
    return pipeline._get_load_storage().normalized_packages


def destination_client(pipeline: dlt.Pipeline, schema: Schema) -> Any:
    """Return the client of a pipeline's destination for a schema that is not stored yet.

    The public `Pipeline.destination_client` takes the name of a stored schema.
    """
    return pipeline._get_destination_clients(schema)[0]


def state_hash(state: Any) -> str | None:
    """Return the hash of a pipeline's state, by which dlt itself tells two states apart.

    `Pipeline.state` is public, the name of this key is not.
    """
    return cast("str | None", state.get("_version_hash"))


@cache
def accept_json_as_text(resource: str) -> None:
    """Have dlt not warn that Arrow tables of a resource have the values of JSON columns as texts.

    Arrow has no type for JSON. dlt keeps the declared type, and the destination converts the texts:
    the warning says so for each Arrow table, and only its text distinguishes it from others.
    """
    warning = f"In resource: {resource}, when merging arrow schema"
    logging.getLogger("dlt").addFilter(lambda entry: not str(entry.msg).startswith(warning))
