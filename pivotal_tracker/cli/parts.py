"""Load comments that are requested by story in parts, so that a killed run loses little.

dlt keeps nothing of an extraction that is killed. So the command runs the source repeatedly, each
time with the comments of a limited number of stories, until none is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlt.extract import DltSource
from dlt.pipeline.trace import PipelineTrace

from ..settings import COMMENT_PART_SIZE
from .outcome import metrics_by_resource
from .runner import Loading


def load_remaining_parts(
    loading: Loading,
    make_source: Callable[[Sequence[int]], DltSource],
    traces: list[PipelineTrace],
) -> None:
    """Load the stories whose comments the first run has left to later ones.

    Args:
        loading: The loads of the pipeline.
        make_source: Makes the source of a part: of the projects with these ids.
        traces: The traces of the runs so far; one is added for each part.
    """
    pending = _pending_stories(traces[-1])
    while projects := _next_projects(pending):
        traces.append(loading.run(make_source(projects)))
        left = _pending_stories(traces[-1])
        before = sum(pending.pop(project) for project in projects)
        if sum(left.values()) < before:
            pending |= left


def _pending_stories(trace: PipelineTrace) -> dict[int, int]:
    """Return the number of stories left in each project; projects without any are left out."""
    pending = metrics_by_resource([trace])["stories"].pending
    return {int(project): number for project, number in pending.items() if number}


def _next_projects(pending: dict[int, int]) -> list[int]:
    """Return as many projects as are needed to fill a part."""
    projects: list[int] = []
    stories = 0
    for project, number in pending.items():
        if stories < COMMENT_PART_SIZE:
            projects.append(project)
            stories += number
    return projects
