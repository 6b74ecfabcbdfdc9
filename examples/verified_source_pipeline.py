"""Example loads, which `dlt init pivotal_tracker DESTINATION` copies with the source."""

from __future__ import annotations

import dlt

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.load.dlt_defaults import apply_dlt_defaults
from pivotal_tracker.views import create_views
from pivotal_tracker.views.comments import write_comments


def load_everything() -> None:
    """Load all projects that the token sees, or what has changed since the last run.

    Create the views, and write the descriptions of tables and columns as comments.
    """
    pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")
    print(pipeline.run(pivotal_tracker_source()))
    print(create_views(pipeline))
    write_comments(pipeline)


def load_stories_of(*project_ids: int) -> None:
    """Load the stories and epics of some projects."""
    pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")
    source = pivotal_tracker_source(project_ids=list(project_ids))
    print(pipeline.run(source.with_resources("stories", "epics")))


if __name__ == "__main__":
    apply_dlt_defaults()
    load_everything()
