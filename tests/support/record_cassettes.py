"""Record the cassettes from `tracker_server` (`make cassettes`); CI only replays them."""

from __future__ import annotations

import tempfile

import dlt

from pivotal_tracker import pivotal_tracker_source
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from .cassettes import CASSETTES, recorder


def record() -> None:
    """Record a complete extraction of a small workspace."""
    workspace = generate_workspace(projects=2, stories=12, activity=30, seed=11)
    cassette = CASSETTES / "workspace.yaml"
    cassette.unlink(missing_ok=True)
    # recording is not safe for threads
    dlt.config["extract.workers"] = 1
    with (
        TrackerServer(workspace) as server,
        tempfile.TemporaryDirectory() as folder,
        recorder(record_mode="once").use_cassette(str(cassette)),
    ):
        source = pivotal_tracker_source(
            api_token=workspace.me["api_token"], base_url=server.url, project_ids=None
        )
        dlt.pipeline("cassettes", pipelines_dir=folder, destination="duckdb").extract(source)


if __name__ == "__main__":
    record()
