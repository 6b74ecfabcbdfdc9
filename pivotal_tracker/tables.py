"""The only description of each table: its key, its columns and their types, its nested tables.

Names, keys and columns are public: people's SQL depends on them. Column hints, the tables that
exist before their first row, and the documentation come from here. The attributes are those of API
v5's resources; a nested object's attribute is named `object__attribute`, as dlt names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

ColumnType = Literal["bigint", "text", "double", "bool", "timestamp", "date", "json"]
Columns = dict[str, ColumnType]

STORY_TYPES = ("feature", "bug", "chore", "release")
"""All values of `story_type`."""

STORY_STATES = (
    "accepted",
    "delivered",
    "finished",
    "started",
    "rejected",
    "planned",
    "unstarted",
    "unscheduled",
)
"""All values of `current_state`, in the column order of Tracker's daily histories."""


@dataclass(frozen=True, eq=False)
class Table:
    """One table of the destination.

    Attributes:
        name: Its name in the destination.
        key: The columns that make a row unique.
        columns: The declared columns, including the ids of the parents. Other attributes of the API
            get columns by dlt's schema evolution.
        nested: The child tables of the lists in a record, by the name of the attribute.
        inherited_columns: The columns of this table that each child table repeats, with their names
            there.
        is_scalar_list: Whether it has a list of plain values (`owner_ids`), in the column `value`.
        kind: The API's `kind` of its records, if those that are deleted are logged in
            `deleted_records`. Saved responses are recognized by it.
        partition_column: The column of times by whose days it is partitioned in BigQuery, where a
            table may have 10,000 of them, which are 27 years; empty if it is not partitioned.
        renamed_from: Its name in this module, if the name in the destination is another.
    """

    name: str
    key: tuple[str, ...]
    columns: Columns
    nested: dict[str, Table] = field(default_factory=dict)
    inherited_columns: dict[str, str] = field(default_factory=dict)
    is_scalar_list: bool = False
    kind: str = ""
    partition_column: str = ""
    renamed_from: str = ""

    @property
    def declared_name(self) -> str:
        """Its name in this module."""
        return self.renamed_from or self.name

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """The columns that hold JSON."""
        return frozenset(name for name, kind in self.columns.items() if kind == "json")

    @cached_property
    def non_json_columns(self) -> frozenset[str]:
        """The columns that are not JSON."""
        return frozenset(self.columns) - self.json_columns

    @cached_property
    def parent_key(self) -> tuple[str, ...]:
        """The columns of the child tables that refer to this table's key."""
        return tuple(
            inherited for own, inherited in self.inherited_columns.items() if own in self.key
        )

    def renamed(self, name: str) -> Table:
        """Copy this table under another name; child tables are named after it, as dlt does."""
        nested = {attr: child.renamed(f"{name}__{attr}") for attr, child in self.nested.items()}
        return replace(self, name=name, nested=nested, renamed_from=self.declared_name)

    def limited(self, depth: int) -> Table:
        """Copy this table with child tables down to a depth; deeper lists become JSON columns."""
        nested = {attr: child.limited(depth - 1) for attr, child in self.nested.items()}
        return replace(self, nested=nested if depth > 0 else {})

    def family(self) -> Iterator[Table]:
        """Yield this table, then the tables nested in it, parents first."""
        yield self
        for table in self.nested.values():
            yield from table.family()


def _columns(**types: str) -> Columns:
    """Make columns from names by type: `_columns(bigint="id project_id", text="name")`."""
    return {name: kind for kind, names in types.items() for name in names.split()}  # type: ignore[misc]


def _prefixed(prefix: str, columns: Columns) -> Columns:
    """Return the columns of an object inside a record."""
    return {f"{prefix}__{name}": kind for name, kind in columns.items()}


_PERSON = _columns(bigint="id", text="kind name email initials username")
_LABEL = _columns(bigint="id project_id", text="kind name", timestamp="created_at updated_at")
_PROVENANCE_COLUMNS = _columns(text="_source _date_precision")
"""In rows from an archive: the file, and `day` if its times are dates; null in rows of the API."""
_COUNTS_BY_STATE: Columns = {"kind": "text", **dict.fromkeys(STORY_STATES, "double")}


def _comments(parent: str, ids: Columns) -> Table:
    """Return the comments of a story or an epic, with their attachments."""
    name = f"{parent}__comments"
    ids_of_attachments: Columns = {"comment_id": "bigint", **ids}
    return Table(
        name,
        ("id",),
        _columns(
            bigint="id story_id epic_id person_id",
            text="kind text commit_identifier commit_type external_source external_author "
            "external_link",
            timestamp="created_at updated_at",
        )
        | ids,
        nested={
            "file_attachments": Table(
                f"{name}__file_attachments",
                ("id",),
                _columns(
                    bigint="id uploader_id size height width",
                    text="kind filename content_type download_url",
                    bool="thumbnailable uploaded",
                    timestamp="created_at",
                )
                | ids_of_attachments,
            ),
            "google_attachments": Table(
                f"{name}__google_attachments",
                ("id",),
                _columns(
                    bigint="id person_id",
                    text="kind google_kind title google_id alternate_link resource_id",
                )
                | ids_of_attachments,
            ),
        },
        inherited_columns={"id": "comment_id"},
    )


def _ids(parent: str, attribute: str, ids: Columns) -> Table:
    """Return a plain list of ids: one row a value."""
    return Table(
        f"{parent}__{attribute}",
        (next(iter(ids)), "value"),
        {"value": "bigint", **ids},
        is_scalar_list=True,
    )


_STORY_IDS: Columns = {"story_id": "bigint", "project_id": "bigint"}
_EPIC_IDS: Columns = {"epic_id": "bigint", "project_id": "bigint"}
_RELEASE_IDS: Columns = {"release_id": "bigint", "project_id": "bigint"}
_ACTIVITY_IDS: Columns = {"activity_guid": "text", "project_id": "bigint"}

PROJECTS = Table(
    "projects",
    ("id",),
    _columns(
        bigint="id version iteration_length velocity_averaged_over "
        "number_of_done_iterations_to_show initial_velocity current_iteration_number account_id "
        "current_velocity same_as_id",
        double="current_standard_deviation current_volatility",
        text="kind name description profile_content week_start_day point_scale project_type "
        "status time_zone__kind time_zone__olson_name time_zone__offset",
        bool="point_scale_is_custom bugs_and_chores_are_estimatable automatic_planning "
        "enable_planned_mode enable_following enable_tasks show_story_priority "
        "show_priority_icon show_priority_icon_in_all_panels has_google_domain "
        "enable_incoming_emails public atom_enabled",
        date="start_date",
        timestamp="start_time shown_iterations_start_time created_at updated_at _not_seen_since",
    )
    | _PROVENANCE_COLUMNS,
    kind="project",
)
"""`_not_seen_since` is null, or the time when a project was first missing from the list.
For a project that an archive knows only by name, `same_as_id` is the id of the server's project
with its stories."""

STORIES = Table(
    "stories",
    ("id",),
    _columns(
        bigint="id project_id requested_by_id owned_by_id integration_id _position",
        text="kind name description story_type current_state story_priority external_id url",
        double="estimate points_accepted points_total",
        timestamp="created_at updated_at accepted_at deadline projected_completion",
    )
    | _prefixed(
        "cycle_time_details",
        _columns(
            bigint="story_id total_cycle_time started_time started_count finished_time "
            "finished_count delivered_time delivered_count rejected_time rejected_count",
            text="kind",
        ),
    )
    | _PROVENANCE_COLUMNS,
    nested={
        "labels": Table("stories__labels", ("story_id", "id"), _LABEL | _STORY_IDS),
        "owner_ids": _ids("stories", "owner_ids", _STORY_IDS),
        "follower_ids": _ids("stories", "follower_ids", _STORY_IDS),
        "comments": _comments("stories", _STORY_IDS),
        "tasks": Table(
            "stories__tasks",
            ("id",),
            _columns(
                bigint="id position",
                text="kind description",
                bool="complete",
                timestamp="created_at updated_at",
            )
            | _STORY_IDS,
        ),
        "blockers": Table(
            "stories__blockers",
            ("id",),
            _columns(
                bigint="id person_id",
                text="kind description",
                bool="resolved",
                timestamp="created_at updated_at",
            )
            | _STORY_IDS,
        ),
        "reviews": Table(
            "stories__reviews",
            ("id",),
            _columns(
                bigint="id review_type_id reviewer_id",
                text="kind status",
                timestamp="created_at updated_at",
            )
            | _prefixed(
                "review_type",
                _columns(
                    bigint="id project_id",
                    text="kind name",
                    bool="hidden",
                    timestamp="created_at updated_at",
                ),
            )
            | _STORY_IDS,
        ),
        "transitions": Table(
            "stories__transitions",
            ("project_id", "project_version", "story_id", "state"),
            _columns(
                bigint="project_version performed_by_id",
                text="kind state",
                timestamp="occurred_at",
            )
            | _STORY_IDS,
        ),
        "pull_requests": Table(
            "stories__pull_requests",
            ("id",),
            _columns(
                bigint="id number",
                text="kind owner repo host_url original_url status",
                timestamp="created_at updated_at",
            )
            | _STORY_IDS,
        ),
        "branches": Table(
            "stories__branches",
            ("id",),
            _columns(
                bigint="id",
                text="kind owner repo name host_url original_url",
                timestamp="created_at updated_at",
            )
            | _STORY_IDS,
        ),
    },
    inherited_columns={"id": "story_id", "project_id": "project_id"},
    kind="story",
    # every change of a story also changes `updated_at`
    partition_column="updated_at",
)
"""`_position` is the position in Tracker's export, which is ordered by priority. The order of
scheduled stories is also in the story ids of iterations, from the API and from the export."""

EPICS = Table(
    "epics",
    ("id",),
    _columns(
        bigint="id project_id past_done_stories_count past_done_stories_no_point_count",
        text="kind name description url",
        double="past_done_story_estimates",
        timestamp="created_at updated_at completed_at projected_completion",
    )
    | _prefixed("label", _LABEL)
    | _PROVENANCE_COLUMNS,
    nested={"comments": _comments("epics", _EPIC_IDS)},
    inherited_columns={"id": "epic_id", "project_id": "project_id"},
    kind="epic",
)

LABELS = Table(
    "labels",
    ("id",),
    _LABEL
    | {"counts__kind": "text"}
    | _prefixed("counts__number_of_stories_by_state", _COUNTS_BY_STATE)
    | _prefixed("counts__sum_of_story_estimates_by_state", _COUNTS_BY_STATE)
    | _prefixed("counts__number_of_zero_point_stories_by_state", _COUNTS_BY_STATE)
    | _PROVENANCE_COLUMNS,
    kind="label",
)

PROJECT_MEMBERSHIPS = Table(
    "project_memberships",
    ("id",),
    _columns(
        bigint="id project_id",
        text="kind role project_color",
        bool="favorite wants_comment_notification_emails "
        "will_receive_mention_notifications_or_emails",
        timestamp="last_viewed_at created_at updated_at",
    )
    | _prefixed("person", _PERSON)
    | _PROVENANCE_COLUMNS,
    kind="project_membership",
)

RELEASES = Table(
    "releases",
    ("id",),
    _columns(
        bigint="id project_id counts_accepted counts_total",
        text="kind name description current_state url",
        double="points_accepted points_total",
        timestamp="created_at updated_at accepted_at deadline projected_completion",
    )
    | _PROVENANCE_COLUMNS,
    nested={
        "story_ids": _ids("releases", "story_ids", _RELEASE_IDS),
        "labels": Table("releases__labels", ("release_id", "id"), _LABEL | _RELEASE_IDS),
    },
    inherited_columns={"id": "release_id", "project_id": "project_id"},
    kind="release",
)

ACTIVITY = Table(
    "activity",
    ("guid",),
    _columns(
        text="guid kind message highlight project__kind project__name performed_by__kind "
        "performed_by__name performed_by__initials",
        bigint="project_id project_version project__id performed_by__id",
        timestamp="occurred_at",
    )
    | _PROVENANCE_COLUMNS,
    nested={
        "changes": Table(
            "activity__changes",
            ("activity_guid", "_dlt_list_idx"),
            _columns(
                bigint="id number",
                text="kind change_type name story_type story_priority",
                json="new_values original_values",
            )
            | _ACTIVITY_IDS,
        ),
        "primary_resources": Table(
            "activity__primary_resources",
            ("activity_guid", "_dlt_list_idx"),
            _columns(bigint="id", text="kind name story_type url story_priority") | _ACTIVITY_IDS,
        ),
        "secondary_resources": Table(
            "activity__secondary_resources",
            ("activity_guid", "_dlt_list_idx"),
            _columns(text="kind message highlight")
            | _prefixed("resource", _columns(bigint="id", text="kind name story_type url"))
            | _ACTIVITY_IDS,
        ),
    },
    inherited_columns={"guid": "activity_guid", "project_id": "project_id"},
    partition_column="occurred_at",
)

_ITERATION_IDS: Columns = {"iteration_number": "bigint", "project_id": "bigint"}

ITERATIONS = Table(
    "iterations",
    ("project_id", "number"),
    _columns(
        bigint="project_id number length",
        text="kind",
        double="team_strength velocity points accepted_points effective_points",
        timestamp="start finish",
    )
    | _PROVENANCE_COLUMNS,
    nested={"story_ids": _ids("iterations", "story_ids", _ITERATION_IDS)},
    inherited_columns={"number": "iteration_number", "project_id": "project_id"},
)

HISTORY_DAYS = Table(
    "history_days",
    ("project_id", "date"),
    _columns(
        bigint=" ".join(["project_id", *(f"counts_{state}" for state in STORY_STATES)]),
        date="date",
        double=" ".join(f"points_{state}" for state in STORY_STATES),
    )
    | _PROVENANCE_COLUMNS,
)

REVIEW_TYPES = Table(
    "review_types",
    ("id",),
    _columns(
        bigint="id project_id", text="kind name", bool="hidden", timestamp="created_at updated_at"
    )
    | _PROVENANCE_COLUMNS,
    kind="review_type",
)

WORKSPACES = Table(
    "workspaces",
    ("id",),
    _columns(bigint="id person_id", text="kind name") | _PROVENANCE_COLUMNS,
    nested={"project_ids": _ids("workspaces", "project_ids", {"workspace_id": "bigint"})},
    inherited_columns={"id": "workspace_id"},
    kind="workspace",
)

ACCOUNTS = Table(
    "accounts",
    ("id",),
    _columns(
        bigint="id days_left",
        text="kind name plan status",
        bool="over_the_limit",
        timestamp="created_at updated_at",
    )
    | _PROVENANCE_COLUMNS,
    nested={"project_ids": _ids("accounts", "project_ids", {"account_id": "bigint"})},
    inherited_columns={"id": "account_id"},
    kind="account",
)

ACCOUNT_MEMBERSHIPS = Table(
    "account_memberships",
    ("id",),
    _columns(
        bigint="id account_id",
        text="kind",
        bool="owner admin project_creator timekeeper time_enterer",
        timestamp="created_at updated_at",
    )
    | _prefixed("person", _PERSON)
    | _PROVENANCE_COLUMNS,
    kind="account_membership",
)

PEOPLE = Table("people", ("id",), _PERSON | {"same_as_id": "bigint"} | _PROVENANCE_COLUMNS)
"""For a person that an archive knows only by name, `same_as_id` is the id of the person with that
name, if there is only one."""

DELETED_RECORDS = Table(
    "deleted_records",
    ("kind", "id", "project_id"),
    _columns(
        bigint="id project_id deleted_by_id",
        text="kind change activity_guid",
        timestamp="deleted_at found_at",
    ),
)
"""`change` is `deleted`, or `moved` if the record is in another project now."""

ATTACHMENT_FILES = Table(
    "attachment_files",
    ("id",),
    _columns(
        bigint="id project_id story_id epic_id comment_id size",
        text="filename content_type path sha256 problem _source",
    ),
)
"""`path` is the file, with its `size` in bytes and `sha256`; or `problem` is why there is none."""

LOAD_REPORT = Table(
    "load_report",
    ("source", "kind"),
    _columns(text="source format kind", bigint="rows_read rows_loaded rows_left_out"),
    nested={
        "left_out": Table(
            "load_report__left_out",
            ("source", "kind", "reason"),
            _columns(text="source kind reason where", bigint="rows lost_values"),
        )
    },
    inherited_columns={"source": "source", "kind": "kind"},
)
"""The numbers of rows of each file and table: `rows_read` = `rows_loaded` + `rows_left_out`.

For each `reason`, `rows` were left out, or `lost_values` are missing from rows that were loaded;
`where` names the first. `kind` is the table, or `files`.
"""

PROJECT_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        STORIES,
        EPICS,
        LABELS,
        PROJECT_MEMBERSHIPS,
        RELEASES,
        ITERATIONS,
        ACTIVITY,
        HISTORY_DAYS,
        REVIEW_TYPES,
    )
}
"""The tables that are read project by project, by the name of their resource."""

SERVER_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PROJECTS,
        *PROJECT_TABLES.values(),
        WORKSPACES,
        ACCOUNTS,
        ACCOUNT_MEMBERSHIPS,
        PEOPLE,
        DELETED_RECORDS,
    )
}
"""The tables that a server is loaded into, by the names of their resources."""

ARCHIVE_TABLES: dict[str, Table] = {
    **SERVER_TABLES,
    ATTACHMENT_FILES.name: ATTACHMENT_FILES,
    LOAD_REPORT.name: LOAD_REPORT,
}
"""The tables that archives are loaded into, by the names of their resources."""
