"""Notify Slack and Sentry of the end of a run."""

from __future__ import annotations

import html
from typing import Any

import requests
from dlt.common import logger
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration

from ..redaction import redact, redact_values

SLACK_TIMEOUT_SECONDS = 10
"""The timeout for Slack; dlt's own function has none, and would block the next run too."""


def notify_slack(text: str) -> None:
    """Post to the channel of `[runtime] slack_incoming_hook`, if there is one.

    A message that cannot be sent is only logged.

    Args:
        text: The message.
    """
    hook = resolve_configuration(RuntimeConfiguration()).slack_incoming_hook
    if not hook:
        return
    try:
        message = {"text": html.escape(redact(text), quote=False)}
        requests.post(hook, json=message, timeout=SLACK_TIMEOUT_SECONDS).raise_for_status()
    except requests.RequestException as error:
        # the text of the error contains the hook, which is a secret
        answer = "" if error.response is None else f" {error.response.status_code}"
        logger.error(f"Slack could not be notified: {type(error).__name__}{answer}")


def capture_in_sentry(error: BaseException) -> None:
    """Send an error to the project of `[runtime] sentry_dsn`, if there is one.

    Args:
        error: The error of the run.
    """
    if not resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        return
    import sentry_sdk

    sentry_sdk.capture_exception(error)
    sentry_sdk.flush(timeout=10)


def disable_sentry_locals() -> None:
    """Report errors to Sentry without the values of variables, and with secrets redacted."""
    if resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        import sentry_sdk

        options = sentry_sdk.get_client().options
        options["include_local_variables"] = False
        options["before_send"] = _without_secrets


def _without_secrets(event: Any, hint: Any) -> Any:
    return redact_values(event)
