"""Find the secrets of dlt's configuration, and redact them in all output of the command."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.pipeline import SupportsPipeline
from dlt.pipeline import trace as dlt_trace
from dlt.pipeline.trace import PipelineStepTrace, PipelineTrace

from ..redaction import add_connection_string, add_secret, redact, redact_values

_SECRET_WORDS = ("password", "token", "secret", "key", "dsn", "hook", "passphrase")
"""The last words of the names of settings whose values are secrets."""


def collect_secrets() -> None:
    """Redact all secrets that dlt has resolved, or that have the name of a secret.

    Names matter for settings that dlt could not read: these are not resolved, and may be in errors.
    """
    for name, value in os.environ.items():
        if "__" in name:
            _add(name.rsplit("__", 1)[-1], value)
    for path in _secrets_files():
        # a file that is not TOML is reported by dlt, without its values
        with contextlib.suppress(OSError, ValueError):
            _add_all(tomllib.loads(path.read_text(encoding="utf-8")))
    for trace in get_resolved_traces().resolved_traces:
        if is_secret_hint(trace.hint) and isinstance(trace.value, str):
            _add(trace.key if trace.key == "credentials" else "secret", trace.value)


def _secrets_files() -> Iterator[Path]:
    for provider in Container()[PluggableRunContext].providers.providers:
        if provider.supports_secrets:
            yield from (Path(name) for name in provider.locations)


def _add_all(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if isinstance(value, dict):
            _add_all(value)
        elif isinstance(value, str):
            _add(name, value)


def _add(name: str, value: str) -> None:
    is_secret = name.lower().endswith(_SECRET_WORDS)
    if "@" in value:
        add_connection_string(value, is_user_secret=is_secret)
    # only the key of a DSN is secret, but the complete URL of a hook
    if is_secret and not ("://" in value and "@" in value):
        add_secret(value)
    elif name.lower() == "credentials" and value.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            _add_all(json.loads(value))


class _RedactedStream:
    """A wrapper of a stream that redacts secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text without secrets."""
        return self._stream.write(redact(text))

    def writelines(self, lines: Iterator[str]) -> None:
        """Write lines without secrets."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def redacted_output() -> Iterator[None]:
    """Keep secrets out of stdout, stderr, dlt's log and its trace while the command runs."""
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _RedactedStream(stdout), _RedactedStream(stderr)
    log = logging.getLogger("dlt")
    log.addFilter(_redact_record)
    tracking: list[Any] = dlt_trace.TRACKING_MODULES
    tracking.append(_RedactedTrace)
    try:
        yield
    finally:
        tracking.remove(_RedactedTrace)
        log.removeFilter(_redact_record)
        sys.stdout, sys.stderr = stdout, stderr


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    if record.exc_info:
        record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
    return True


class _RedactedTrace:
    """Redact dlt's trace of a run before it is written to `trace.pickle`."""

    @staticmethod
    def on_start_trace(trace: PipelineTrace, step: str, pipeline: SupportsPipeline) -> None:
        """Do nothing."""

    @staticmethod
    def on_start_trace_step(trace: PipelineTrace, step: str, pipeline: SupportsPipeline) -> None:
        """Do nothing."""

    @staticmethod
    def on_end_trace_step(
        trace: PipelineTrace,
        step: PipelineStepTrace,
        pipeline: SupportsPipeline,
        step_info: Any,
        send_state: bool,
    ) -> None:
        """Redact the settings, and the errors of the step."""
        collect_secrets()
        trace.resolved_config_values[:] = [
            value._replace(
                value=redact_values(value.value), default_value=redact_values(value.default_value)
            )
            for value in trace.resolved_config_values
        ]
        trace.steps[-1] = step._replace(
            step_exception=redact_values(step.step_exception),
            exception_traces=redact_values(step.exception_traces),
        )

    @staticmethod
    def on_end_trace(trace: PipelineTrace, pipeline: SupportsPipeline, send_state: bool) -> None:
        """Do nothing."""
