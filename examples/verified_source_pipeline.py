"""What `dlt init pivotal_tracker DESTINATION` puts beside the source: loads to start from."""

from __future__ import annotations

import dlt

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.load.dlt_defaults import set_defaults
from pivotal_tracker.views import create_views
from pivotal_tracker.views.comments import write_comments


def load_everything() -> None:
    """Loads every project the token sees; run again, what has changed since. Then the views.

    Descriptions of tables and columns become comments in DuckDB and Postgres.
    """
    pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")
    print(pipeline.run(pivotal_tracker_source()))
    print(create_views(pipeline))
    write_comments(pipeline)


def load_stories_of(*project_ids: int) -> None:
    """Loads the stories and epics of some projects only."""
    pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")
    source = pivotal_tracker_source(project_ids=list(project_ids))
    print(pipeline.run(source.with_resources("stories", "epics")))


if __name__ == "__main__":
    set_defaults()
    load_everything()
