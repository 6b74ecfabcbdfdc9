"""Report runs to OpenTelemetry, if the command runs under it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime

from dlt.pipeline.trace import PipelineTrace


def trace_runs(traces: Iterable[PipelineTrace], exit_code: int, problem: str) -> None:
    """Send a span for each pipeline run, with one for each of its steps.

    Nothing is sent unless OpenTelemetry has been configured, which `opentelemetry-instrument` does.

    Args:
        traces: What dlt recorded of the runs.
        exit_code: The exit code of the command.
        problem: What went wrong; empty if nothing did.
    """
    if "opentelemetry.sdk.trace" not in sys.modules:
        return
    from opentelemetry import trace as telemetry
    from opentelemetry.trace import Span, Status, StatusCode

    def finish(span: Span, is_failed: bool, finished_at: datetime | None) -> None:
        if is_failed:
            span.set_status(Status(StatusCode.ERROR, problem))
        span.end(_nanoseconds(finished_at) if finished_at else None)

    tracer = telemetry.get_tracer("pivotal_tracker")
    for trace in traces:
        run = tracer.start_span(
            trace.pipeline_name,
            start_time=_nanoseconds(trace.started_at),
            attributes={"exit_code": exit_code},
        )
        context = telemetry.set_span_in_context(run)
        for step in trace.steps:
            if step.step != "run":
                span = tracer.start_span(
                    step.step, context, start_time=_nanoseconds(step.started_at)
                )
                finish(span, step.step_exception is not None, step.finished_at)
        finish(run, bool(problem), trace.finished_at)


def _nanoseconds(time: datetime) -> int:
    return round(time.timestamp() * 1e9)
